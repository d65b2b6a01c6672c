/** A server's instances over time, with its notices and outages. */
import { useQuery } from "@tanstack/react-query";
import type { Life, Stay } from "../model/timeline";
import { get } from "./http";
import { keys } from "./keys";
import type { Instance, Schemas } from "./types";

export function useLife(serverId: string) {
  return useQuery({ queryKey: keys.timeline(serverId), queryFn: ({ signal }) => lifeOf(serverId, signal) });
}

async function lifeOf(serverId: string, signal: AbortSignal): Promise<Life> {
  const page = await get<Schemas["InstancePage"]>(
    "/api/instances",
    { server_id: serverId, limit: 200 },
    signal,
  );
  return { stays: page.items.map(stayOf), marks: [], outages: [] };
}

function stayOf(instance: Instance): Stay {
  const end = instance.terminate_confirmed_at ?? (ENDED.has(instance.state) ? instance.updated_at : null);
  return {
    instanceId: instance.id,
    role: instance.role === "replica" ? "replica" : "primary",
    pool: instance.pool,
    from: Date.parse(instance.created_at),
    to: end ? Date.parse(end) : null,
  };
}

const ENDED = new Set(["terminated", "released", "failed"]);
