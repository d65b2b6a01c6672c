import { useMemo } from "react";
import { usePrices } from "../../api/market";
import { price } from "../../model/money";
import { align } from "../../model/series";
import { Chart, type Series } from "../../ui/Chart";
import { Legend } from "../../ui/Legend";
import { Skeleton } from "../../ui/Skeleton";

interface Props {
  pools: string[];
  onDemand: number | null;
  days: number;
  height: number;
}

/** What pools cost over time, against the on-demand line. */
export function PriceChart({ pools, onDemand, days, height }: Props) {
  const { waiting, points, at } = usePrices(pools, days);
  const { times, series } = useMemo(() => {
    const aligned = align(points, at);
    return { times: aligned.times, series: seriesOf(pools, aligned.values, onDemand, aligned.times.length) };
  }, [points, at, pools, onDemand]);
  if (waiting) return <Skeleton height={height + 24} />;
  if (points.every((one) => one.length === 0)) {
    return <p className="muted empty-chart">No prices of this time are known for it yet.</p>;
  }
  return (
    <>
      <Legend series={series} />
      <Chart label={words(pools, series)} times={times} series={series} height={height} format={price} />
    </>
  );
}

function seriesOf(
  pools: string[],
  values: (number | null)[][],
  onDemand: number | null,
  length: number,
): Series[] {
  const lines = pools.map((pool, index) => ({
    label: pool.replace(/\/spot$/, ""),
    colour: `--series-${(index % 6) + 1}`,
    values: values[index] ?? [],
    stepped: true,
    fill: pools.length === 1,
  }));
  if (onDemand === null) return lines;
  const line = {
    label: "on-demand",
    colour: "--muted",
    values: Array<number>(length).fill(onDemand),
    dashed: true,
  };
  return [...lines, line];
}

function words(pools: string[], series: Series[]): string {
  const latest = series.map((one) => `${one.label} ${price(one.values.at(-1))}`);
  return `Price per hour of ${pools.length} pools over time; now ${latest.join(", ")}`;
}
