/** The figures above the fleet. */
import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import { keys } from "./keys";
import type { SummaryView } from "./types";

/** Savings accrue without an event: once a minute they are asked for. */
const AGAIN_MS = 60_000;

export function useSummary() {
  return useQuery({
    queryKey: keys.summary,
    queryFn: ({ signal }) => get<SummaryView>("/api/summary", {}, signal),
    refetchInterval: (query) => (query.state.status === "error" ? false : AGAIN_MS),
  });
}
