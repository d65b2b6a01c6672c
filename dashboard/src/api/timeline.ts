/** A server's instances over time, with its notices and outages. */
import { useQuery } from "@tanstack/react-query";
import type { Life, Stay } from "../model/timeline";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export function useLife(serverId: string) {
  return useQuery({
    queryKey: keys.timeline(serverId),
    queryFn: async ({ signal }) =>
      lifeOf(
        await answerOf(
          api.GET("/api/servers/{server_id}/timeline", { params: { path: { server_id: serverId } }, signal }),
        ),
      ),
  });
}

function lifeOf(given: Schemas["TimelineView"]): Life {
  return {
    stays: given.instances.flatMap(staysOf),
    marks: given.notices.map((notice) => ({
      at: Date.parse(notice.seen_at),
      kind: notice.kind === "rebalance" ? "rebalance" : "interruption",
      text: notice.handled,
    })),
    outages: given.outages.map((outage) => ({
      from: Date.parse(outage.since),
      to: Date.parse(outage.until),
      operationId: outage.operation_id,
    })),
  };
}

/** One bar for as long as it had a role; on its way in or out it has none. */
function staysOf(instance: Schemas["LifeView"]): Stay[] {
  const stays: Stay[] = [];
  for (const span of instance.spans) {
    const role = span.role === "primary" || span.role === "replica" ? span.role : "other";
    const to = span.until ? Date.parse(span.until) : null;
    const last = stays.at(-1);
    if (last?.role === role && last.to === Date.parse(span.since)) last.to = to;
    else if (!ENDED.has(span.state)) {
      stays.push({ instanceId: instance.id, role, pool: instance.pool, from: Date.parse(span.since), to });
    }
  }
  return stays;
}

const ENDED = new Set(["terminated", "released"]);
