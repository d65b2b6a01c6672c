/** A server, what may be asked of it, and what is asked right now. */
import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import type { FleetRow } from "../model/fleet";
import { get, request } from "./http";
import { keys } from "./keys";
import type { Accepted, Plan, Schemas, Server } from "./types";

export type Ask =
  "switch" | "failover" | "replica_create" | "replica_drop" | "promote" | "release" | "terminate";

/** `key`: one intent has one, however often it is clicked or sent. `confirm`: the server's name, typed. */
export type Asked =
  | { ask: Exclude<Ask, "terminate">; key: string; pool?: string }
  | { ask: "terminate"; key: string; instanceId: string; confirm: string };

export function useServer(id: string) {
  return useQuery({
    queryKey: keys.server(id),
    enabled: id !== "",
    queryFn: ({ signal }) => get<Server>(`/api/servers/${id}`, {}, signal),
  });
}

export function usePlan(id: string, pool: string) {
  return useQuery({
    queryKey: keys.plan(id, pool),
    queryFn: ({ signal }) =>
      request<Plan>("POST", `/api/servers/${id}/plan`, { body: { pool: pool || null }, signal }),
    gcTime: 0, // a plan is worth what it was looked at with
    retry: false,
  });
}

export function usePolicyChange(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (policy: Partial<Schemas["PolicyChange"]>) =>
      request<Server>("PATCH", `/api/servers/${id}`, { body: { policy } }),
    onSuccess: (server) => queries.setQueryData(keys.server(id), server),
  });
}

/** Shown at once as an intent; taken back, with the reason, when it is refused. */
export function useAsk(id: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationKey: ["ask", id],
    mutationFn: (asked: Asked) => send(id, asked),
    onMutate: (asked) => intend(queries, id, asked),
    onError: (_error, asked) => takeBack(queries, id, asked),
    onSuccess: (accepted, asked) => nameIntent(queries, id, asked, accepted.operation_id),
  });
}

function send(id: string, asked: Asked): Promise<Accepted> {
  const { key } = asked;
  const server = `/api/servers/${id}`;
  switch (asked.ask) {
    case "switch":
      return request("POST", `${server}/switch`, { key, body: poolOf(asked) });
    case "replica_create":
      return request("POST", `${server}/replica`, { key, body: poolOf(asked) });
    case "replica_drop":
      return request("DELETE", `${server}/replica`, { key });
    case "failover":
    case "promote":
      return request("POST", `${server}/${asked.ask}`, { key, body: {} });
    case "release":
      return request("DELETE", server, { key });
    case "terminate":
      return request("POST", `/api/instances/${asked.instanceId}/terminate`, {
        key,
        body: { confirm: asked.confirm },
      });
  }
}

const poolOf = ({ pool }: { pool?: string }) => (pool ? { pool } : {});
const intentOf = (asked: Asked): string => `intent:${asked.key}`;

function intend(queries: QueryClient, id: string, asked: Asked): void {
  changeRow(queries, id, (row) =>
    row.running
      ? row
      : {
          ...row,
          running: {
            operationId: intentOf(asked),
            kind: asked.ask,
            status: "queued",
            since: new Date().toISOString(),
            step: "asking",
          },
        },
  );
}

function takeBack(queries: QueryClient, id: string, asked: Asked): void {
  changeRow(queries, id, (row) =>
    row.running?.operationId === intentOf(asked) ? { ...row, running: null } : row,
  );
}

function nameIntent(queries: QueryClient, id: string, asked: Asked, operationId: string): void {
  changeRow(queries, id, (row) =>
    row.running?.operationId === intentOf(asked)
      ? {
          ...row,
          running: row.last?.operationId === operationId ? null : { ...row.running, operationId, step: "" },
        }
      : row,
  );
}

function changeRow(queries: QueryClient, id: string, change: (row: FleetRow) => FleetRow): void {
  queries.setQueryData<FleetRow[]>(keys.fleet, (rows) =>
    rows?.map((row) => (row.id === id ? change(row) : row)),
  );
}
