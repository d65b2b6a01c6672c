/** The fleet's rows, all of them: they are filtered, sorted and searched on the page. */
import { useQuery } from "@tanstack/react-query";
import type { FleetRow, Seat } from "../model/fleet";
import { get } from "./http";
import { keys } from "./keys";
import type { Instance, Schemas } from "./types";

const PAGE = 500;

export function useFleet() {
  return useQuery({ queryKey: keys.fleet, queryFn: ({ signal }) => everyRow(signal) });
}

async function everyRow(signal: AbortSignal): Promise<FleetRow[]> {
  const rows: FleetRow[] = [];
  let cursor: string | null | undefined;
  do {
    const page = await get<Schemas["ServerPage"]>("/api/servers", { limit: PAGE, cursor }, signal);
    rows.push(...page.items.map(rowOf));
    cursor = page.next_cursor;
  } while (cursor);
  return rows;
}

function rowOf(server: Schemas["ServerSummary"]): FleetRow {
  const { running } = server;
  return {
    id: server.id,
    name: server.name,
    region: server.region,
    handoff: server.handoff,
    createdAt: server.created_at,
    primary: seatOf(server.primary),
    replica: seatOf(server.replica),
    onDemandUsdPerHour: null,
    risk: null,
    running: running
      ? {
          operationId: running.id,
          kind: running.kind,
          status: running.status,
          since: running.started_at ?? running.requested_at,
          step: "",
        }
      : null,
    last: null,
    attention: running?.attention ? running.attention_reason : "",
    deadline: null,
    decisionId: null,
  };
}

export function seatOf(instance: Instance | null | undefined): Seat | null {
  if (!instance) return null;
  return {
    instanceId: instance.id,
    state: instance.state,
    since: instance.updated_at,
    pool: instance.pool,
    usdPerHour: instance.usd_per_hour,
    agentSeenAt: instance.agent_seen_at ?? null,
  };
}
