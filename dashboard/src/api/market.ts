/** Pools, what they cost over time, and where a server could go. */
import { useQueries, useQuery, type UseQueryResult } from "@tanstack/react-query";
import type { PoolFacts } from "../model/heat";
import { get } from "./http";
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
    const page: Schemas["PoolPage"] = await get("/api/pools", { limit: 500, cursor }, signal);
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
    placementScore: (pool as { placement_score?: number | null }).placement_score ?? null,
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

interface GivenPrice {
  at?: string;
  start?: string;
  usd_per_hour: number;
}

async function prices(pool: string, days: number, signal: AbortSignal): Promise<PricePoint[]> {
  const from = new Date(Date.now() - days * 86_400_000).toISOString();
  const page = await get<{ items?: GivenPrice[]; points?: GivenPrice[] }>(
    `/api/pools/${pool}/prices`,
    { from },
    signal,
  );
  return (page.items ?? page.points ?? []).map((one) => ({
    at: Date.parse(one.at ?? one.start ?? "") / 1_000,
    usd: one.usd_per_hour,
  }));
}
