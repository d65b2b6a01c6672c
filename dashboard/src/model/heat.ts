/** Pools as a map of zones by types, and how warm each is. */
export interface PoolFacts {
  id: string;
  region: string;
  zone: string;
  type: string;
  lifecycle: string;
  usd: number | null;
  onDemandUsd: number | null;
  pricedAt: string | null;
  coolDownUntil: string | null;
  coolDownReason: string;
  capacityFailures: number;
  notices: number;
  placementScore: number | null;
  lossesPerMonth: number | null;
  lastWeek: { capacity_failures: number; notices: number; lost: number; launches: number };
}

export type Measure = "saving" | "price" | "trouble";

export interface HeatMap {
  zones: string[];
  types: string[];
  cell: (type: string, zone: string) => PoolFacts | undefined;
}

export function heatMap(pools: PoolFacts[]): HeatMap {
  const spot = pools.filter((pool) => pool.lifecycle === "spot");
  const cells = new Map(spot.map((pool) => [`${pool.type} ${pool.zone}`, pool]));
  return {
    zones: [...new Set(spot.map((pool) => pool.zone))].toSorted(),
    types: [...new Set(spot.map((pool) => pool.type))].toSorted(byFamilyAndSize),
    cell: (type, zone) => cells.get(`${type} ${zone}`),
  };
}

/** 0 is cold, 1 is what one looks for (or, of trouble, what one avoids); null: not known. */
export function warmth(pool: PoolFacts, measure: Measure, all: PoolFacts[]): number | null {
  if (measure === "trouble")
    return Math.min(1, (pool.lastWeek.notices + pool.lastWeek.capacity_failures) / 3);
  if (pool.usd === null) return null;
  if (measure === "saving") return pool.onDemandUsd ? Math.max(0, 1 - pool.usd / pool.onDemandUsd) : null;
  const known = all.flatMap((one) => one.usd ?? []);
  const low = Math.log(Math.min(...known));
  const high = Math.log(Math.max(...known));
  return high > low ? 1 - (Math.log(pool.usd) - low) / (high - low) : 1;
}

const SIZES = ["nano", "micro", "small", "medium", "large", "xlarge"];

/** m5.large before m5.2xlarge: as one buys them, not as the alphabet has them. */
export function byFamilyAndSize(one: string, other: string): number {
  const [family = "", size = ""] = one.split(".");
  const [otherFamily = "", otherSize = ""] = other.split(".");
  return family.localeCompare(otherFamily) || rank(size) - rank(otherSize);
}

function rank(size: string): number {
  const known = SIZES.indexOf(size);
  if (known >= 0) return known;
  const times = Number.parseInt(size, 10);
  return Number.isNaN(times) ? 1_000 : SIZES.length + times;
}
