/** Step series of several pools on one axis of time. */
import type { PricePoint } from "../api/market";

export interface Aligned {
  times: number[];
  values: (number | null)[][];
}

/** At every instant at which any price changes, the price that each has then; up to `until`. */
export function align(all: PricePoint[][], until: number): Aligned {
  const times = [...new Set([...all.flatMap((points) => points.map((point) => point.at)), until])].toSorted(
    (one, other) => one - other,
  );
  return { times, values: all.map((points) => stepped(points, times)) };
}

function stepped(points: PricePoint[], times: number[]): (number | null)[] {
  let next = 0;
  let now: number | null = null;
  return times.map((time) => {
    for (; next < points.length && (points[next]?.at ?? Infinity) <= time; next += 1)
      now = points[next]?.usd ?? null;
    return now;
  });
}
