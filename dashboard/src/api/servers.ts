/** A server, what may be asked of it, and what is asked right now. */
import { useMutation, useQuery, useQueryClient, type QueryClient } from "@tanstack/react-query";
import type { FleetRow } from "../model/fleet";
import { answerOf, api, keyed } from "./http";
import { keys } from "./keys";
import type { Accepted, Schemas } from "./types";

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
    queryFn: ({ signal }) => answerOf(api.GET("/api/servers/{server_id}", { params: paramsOf(id), signal })),
  });
}

export function usePlan(id: string, pool: string) {
  return useQuery({
    queryKey: keys.plan(id, pool),
    queryFn: ({ signal }) =>
      answerOf(
        api.POST("/api/servers/{server_id}/plan", {
          params: paramsOf(id),
          body: { pool: pool || null },
          signal,
        }),
      ),
    gcTime: 0, // a plan is worth what it was looked at with
    retry: false,
  });
}

export function usePolicyChange(id: string) {
  const queries = useQueryClient();
  return useMutation({
    // The generated type calls each field with a default required.
    mutationFn: (policy: Partial<Schemas["PolicyChange"]>) =>
      answerOf(
        api.PATCH("/api/servers/{server_id}", {
          params: paramsOf(id),
          body: { policy: policy as Schemas["PolicyChange"] },
        }),
      ),
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

const paramsOf = (id: string) => ({ path: { server_id: id } });

function send(id: string, asked: Asked): Promise<Accepted> {
  const params = { ...paramsOf(id), header: keyed(asked.key) };
  switch (asked.ask) {
    case "switch":
      return answerOf(api.POST("/api/servers/{server_id}/switch", { params, body: poolOf(asked) }));
    case "replica_create":
      return answerOf(api.POST("/api/servers/{server_id}/replica", { params, body: poolOf(asked) }));
    case "replica_drop":
      return answerOf(api.DELETE("/api/servers/{server_id}/replica", { params }));
    case "failover":
      return answerOf(api.POST("/api/servers/{server_id}/failover", { params, body: WAIT }));
    case "promote":
      return answerOf(api.POST("/api/servers/{server_id}/promote", { params, body: WAIT }));
    case "release":
      return answerOf(api.DELETE("/api/servers/{server_id}", { params }));
    case "terminate":
      return answerOf(
        api.POST("/api/instances/{instance_id}/terminate", {
          params: { path: { instance_id: asked.instanceId }, header: keyed(asked.key) },
          body: { confirm: asked.confirm, ...WAIT },
        }),
      );
  }
}

const WAIT = { wait: true }; // its turn, behind what the server does now
const poolOf = ({ pool }: { pool?: string }) => (pool ? { pool, ...WAIT } : WAIT);
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
