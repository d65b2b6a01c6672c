import { ChartNoAxesColumn } from "lucide-react";
import { useMemo } from "react";
import { useSearchParams } from "react-router";
import { usePools } from "../../api/market";
import type { Measure, PoolFacts } from "../../model/heat";
import { Empty } from "../../ui/Empty";
import { Loaded } from "../../ui/Loaded";
import { Segments } from "../../ui/Segments";
import { HeatTable } from "./HeatTable";
import { PoolPanel } from "./PoolPanel";
import { Resting } from "./Resting";
import "../server/server.css";
import "./market.css";

const MEASURES: { value: Measure; label: string }[] = [
  { value: "saving", label: "Below on-demand" },
  { value: "price", label: "Price" },
  { value: "trouble", label: "Trouble, 7 days" },
];

export function Component() {
  const pools = usePools();
  return (
    <div className="page">
      <header className="page__head">
        <div className="page__title">
          <h1>Market</h1>
          <p>Every spot pool we know: a zone by an instance type. Choose one to see its price over time.</p>
        </div>
      </header>
      <Loaded query={pools} height={560} doing="Loading the market">
        {(all) => (all.length ? <Map all={all} /> : <NoMarket />)}
      </Loaded>
    </div>
  );
}

function Map({ all }: { all: PoolFacts[] }) {
  const [params, setParams] = useSearchParams();
  const regions = useMemo(() => [...new Set(all.map((pool) => pool.region))].toSorted(), [all]);
  const region = params.get("region") ?? regions[0] ?? "";
  const measure = (params.get("by") ?? "saving") as Measure;
  const search = params.get("q") ?? "";
  const pools = useMemo(
    () => all.filter((pool) => pool.region === region && pool.type.includes(search.trim().toLowerCase())),
    [all, region, search],
  );
  const chosen = pools.find((pool) => pool.id === params.get("pool")) ?? cheapest(pools);
  const set = (name: string, value: string) =>
    setParams(
      (before) => {
        const after = new URLSearchParams(before);
        if (value) after.set(name, value);
        else after.delete(name);
        return after;
      },
      { replace: true },
    );
  return (
    <>
      <div className="toolbar">
        {regions.length > 1 && (
          <select
            className="input"
            aria-label="Region"
            value={region}
            onChange={(event) => set("region", event.target.value)}
          >
            {regions.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        )}
        <input
          className="input"
          type="search"
          aria-label="Instance type"
          placeholder="m5, large, r6g.xlarge…"
          value={search}
          onChange={(event) => set("q", event.target.value)}
        />
        <Segments
          label="What colours it"
          choices={MEASURES}
          value={measure}
          onChange={(value) => set("by", value)}
        />
      </div>
      <div className="grid-2 market">
        <HeatTable pools={pools} measure={measure} chosen={chosen?.id} onChoose={(id) => set("pool", id)} />
        {chosen && <PoolPanel pool={chosen} />}
      </div>
      <Resting pools={pools} />
    </>
  );
}

function cheapest(pools: PoolFacts[]): PoolFacts | undefined {
  const share = (pool: PoolFacts) =>
    pool.usd !== null && pool.onDemandUsd ? pool.usd / pool.onDemandUsd : 9;
  return pools
    .filter((pool) => pool.lifecycle === "spot")
    .toSorted((one, other) => share(one) - share(other))[0];
}

function NoMarket() {
  return (
    <div className="card">
      <Empty icon={ChartNoAxesColumn} title="No prices yet">
        <p>
          The worker collects spot prices every few minutes for the regions in <code>SPOT_REGIONS</code>. The
          first collection takes the last thirty days.
        </p>
      </Empty>
    </div>
  );
}
