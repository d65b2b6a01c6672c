/** Pools, what they cost over time, and where a server could go. */
import { useQueries, useQuery, type UseQueryResult } from "@tanstack/react-query";
import type { PoolFacts } from "../model/heat";
import { HOURS_A_MONTH } from "../model/risk";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

export interface PricePoint {
  /** Epoch seconds. */
  at: number;
  usd: number;
}

export function usePools() {
  return useQuery({
    queryKey: keys.market,
    queryFn: ({ signal }) => everyPool(signal),
    refetchInterval: 60_000,
  });
}

async function everyPool(signal: AbortSignal): Promise<PoolFacts[]> {
  const pools: PoolFacts[] = [];
  let cursor: string | null | undefined;
  do {
    const query = { limit: 500, cursor };
    const page: Schemas["PoolPage"] = await answerOf(api.GET("/api/pools", { params: { query }, signal }));
    pools.push(...page.items.map(factsOf));
    cursor = page.next_cursor;
  } while (cursor);
  return pools;
}

function factsOf(pool: Schemas["PoolView"]): PoolFacts {
  return {
    id: pool.id,
    region: pool.region,
    zone: pool.zone,
    type: pool.instance_type,
    lifecycle: pool.lifecycle,
    usd: pool.usd_per_hour,
    onDemandUsd: pool.on_demand_usd_per_hour,
    pricedAt: pool.priced_at,
    coolDownUntil: pool.cool_down_until,
    coolDownReason: pool.cool_down_reason,
    capacityFailures: pool.capacity_failures,
    notices: pool.notices,
    placementScore: pool.placement_score,
    lossesPerMonth: pool.losses_per_hour === null ? null : pool.losses_per_hour * HOURS_A_MONTH,
    lastWeek: pool.last_week,
  };
}

export interface Prices {
  waiting: boolean;
  /** One for each pool asked for; empty where nothing is known. */
  points: PricePoint[][];
  /** When they were loaded, epoch seconds. */
  at: number;
}

/** Steps of price in the last days, oldest first; one query for each pool. */
export function usePrices(pools: string[], days: number): Prices {
  return useQueries({
    queries: pools.map((pool) => ({
      queryKey: keys.prices(pool, days),
      queryFn: ({ signal }: { signal: AbortSignal }) => prices(pool, days, signal),
      retry: false,
    })),
    combine: together,
  });
}

function together(results: UseQueryResult<PricePoint[]>[]): Prices {
  return {
    waiting: results.some((one) => one.isPending),
    points: results.map((one) => one.data ?? []),
    at: Math.max(0, ...results.map((one) => one.dataUpdatedAt)) / 1_000,
  };
}

/** One pool as the autopilot sees it for a server. USD per hour. */
export interface Seen {
  pool: string;
  usd_per_h?: number | null;
  losses_per_h?: number | null;
  risk_usd_per_h?: number | null;
  cost_usd_per_h?: number | null;
  blocked?: string;
}

export interface Outlook {
  kind: string;
  reason: string;
  heldBy: string;
  here: Seen | null;
  others: Seen[];
  onDemandUsd: number | null;
}

/** What the autopilot would decide for a server now; a worker looks, so it is not asked for at every event. */
export function useOutlook(serverId: string) {
  return useQuery({
    queryKey: keys.candidates(serverId),
    queryFn: async ({ signal }) =>
      outlookOf(
        await answerOf(
          api.GET("/api/servers/{server_id}/candidates", {
            params: { path: { server_id: serverId }, query: { limit: 5 } },
            signal,
          }),
        ),
      ),
    retry: false,
  });
}

function outlookOf(given: Schemas["CandidatesView"]): Outlook {
  const figures = given.figures as { here?: Seen; candidates?: Seen[]; on_demand_usd_per_h?: number | null };
  return {
    kind: given.kind,
    reason: given.reason,
    heldBy: given.held_by,
    here: figures.here ?? null,
    others: figures.candidates ?? [],
    onDemandUsd: figures.on_demand_usd_per_h ?? null,
  };
}

/** As many as a chart has room for. */
const MOST_POINTS = 400;

async function prices(pool: string, days: number, signal: AbortSignal): Promise<PricePoint[]> {
  const from = new Date(Date.now() - days * 86_400_000).toISOString();
  const query = { from, max_points: MOST_POINTS };
  const series = await answerOf(
    api.GET("/api/pools/{pool}/prices", { params: { path: { pool }, query }, signal }),
  );
  return series.points.map((piece) => ({ at: Date.parse(piece.from_at) / 1_000, usd: piece.usd_per_hour }));
}
