import { useInfiniteQuery, useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { reduceOperation } from "../live/reduceOperation";
import { tape } from "../live/tape";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Operation } from "./types";

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
  const answer = await answerOf(
    api.GET("/api/operations/{operation_id}", { params: { path: { operation_id: id } }, signal }),
  );
  return tape.after(before).reduce(reduceOperation, answer);
}

export function useOperationsOf(serverId: string) {
  return useInfiniteQuery({
    queryKey: keys.operationsOf(serverId),
    queryFn: ({ signal, pageParam }) =>
      answerOf(
        api.GET("/api/operations", {
          params: { query: { server_id: serverId, limit: 20, cursor: pageParam || undefined } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (page) => page.next_cursor || undefined,
  });
}

export function useCancel(id: string) {
  const path = { operation_id: id };
  return useMutation({
    mutationFn: () => answerOf(api.POST("/api/operations/{operation_id}/cancel", { params: { path } })),
  });
}

export function useSettle(decisionId: string) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async (word: "approve" | "reject"): Promise<void> => {
      const params = { path: { decision_id: decisionId } };
      if (word === "approve") await api.POST("/api/decisions/{decision_id}/approve", { params });
      else await api.POST("/api/decisions/{decision_id}/reject", { params, body: { why: "" } });
    },
    onSettled: () => queries.invalidateQueries({ queryKey: keys.decisions }),
  });
}

export function useDecisionsOf(serverId: string) {
  return useQuery({
    queryKey: keys.decisionsOf(serverId),
    queryFn: ({ signal }) =>
      answerOf(api.GET("/api/decisions", { params: { query: { server_id: serverId, limit: 10 } }, signal })),
  });
}
