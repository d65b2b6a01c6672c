import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { reduceOperation } from "../live/reduceOperation";
import { tape } from "../live/tape";
import { get, request } from "./http";
import { keys } from "./keys";
import type { Accepted, Operation, Schemas } from "./types";

export function useOperation(id: string) {
  return useQuery({
    queryKey: keys.operation(id),
    queryFn: ({ signal }) => loadOperation(id, signal),
    enabled: id !== "" && !id.startsWith("intent:"),
  });
}

/** Events that came while the answer was on its way may be newer than it; those that are not change nothing. */
export async function loadOperation(id: string, signal: AbortSignal): Promise<Operation> {
  const before = tape.newest;
  const answer = await get<Operation>(`/api/operations/${id}`, {}, signal);
  return tape.after(before).reduce(reduceOperation, answer);
}

export function useOperationsOf(serverId: string) {
  return useInfiniteQuery({
    queryKey: keys.operationsOf(serverId),
    queryFn: ({ signal, pageParam }) =>
      get<Schemas["OperationPage"]>(
        "/api/operations",
        { server_id: serverId, limit: 20, cursor: pageParam },
        signal,
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor || undefined,
  });
}

export function useCancel(id: string) {
  return useMutation({ mutationFn: () => request<Accepted>("POST", `/api/operations/${id}/cancel`) });
}

export function useSettle(decisionId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: (word: "approve" | "reject") =>
      request("POST", `/api/decisions/${decisionId}/${word}`, word === "reject" ? { body: {} } : {}),
    onSettled: () => queries.invalidateQueries({ queryKey: keys.decisions }),
  });
}

export function useDecisionsOf(serverId: string) {
  return useQuery({
    queryKey: keys.decisionsOf(serverId),
    queryFn: ({ signal }) =>
      get<Schemas["DecisionPage"]>("/api/decisions", { server_id: serverId, limit: 10 }, signal),
  });
}
