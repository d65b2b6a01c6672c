/** The figures above the fleet. */
import { useQuery } from "@tanstack/react-query";
import { get } from "./http";
import { keys } from "./keys";

export interface Summary {
  servers: number;
  agentsOnline: number;
  savedHour: number | null;
  savedDay: number | null;
  savedMonth: number | null;
  switchSuccess: number | null;
  switches: number | undefined;
  failovers: number | null;
  outageMinutes: number | undefined;
  inProgress: number;
  needsAttention: number;
  decisionsWaiting: number;
}

/** Savings accrue without an event: once a minute they are asked for. */
const AGAIN_MS = 60_000;

export function useSummary() {
  return useQuery({
    queryKey: keys.summary,
    queryFn: async ({ signal }) => summaryOf(await get<Record<string, number | null>>("/api/summary", {}, signal)),
    refetchInterval: (query) => (query.state.status === "error" ? false : AGAIN_MS),
  });
}

function summaryOf(given: Record<string, number | null>): Summary {
  const number = (...names: string[]): number | null => {
    const found = names.find((name) => typeof given[name] === "number");
    return found === undefined ? null : (given[found] ?? null);
  };
  return {
    servers: number("servers") ?? 0,
    agentsOnline: number("agents_online") ?? 0,
    savedHour: number("saved_hour_usd", "saved_hour"),
    savedDay: number("saved_day_usd", "saved_day"),
    savedMonth: number("saved_month_usd", "saved_month"),
    switchSuccess: number("switch_success_rate", "switch_success"),
    switches: number("switches") ?? undefined,
    failovers: number("failovers"),
    outageMinutes: number("outage_minutes") ?? undefined,
    inProgress: number("operations_in_progress", "in_progress") ?? 0,
    needsAttention: number("needs_attention", "attention") ?? 0,
    decisionsWaiting: number("decisions_waiting") ?? 0,
  };
}
