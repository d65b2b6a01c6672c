import { useMemo } from "react";
import { usePools } from "../../api/market";
import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import type { PoolFacts } from "../../model/heat";
import { againstOnDemand, below, price } from "../../model/money";
import { partsOf } from "../../model/pools";
import { PoolName } from "../../ui/PoolName";
import { PriceChart } from "../market/PriceChart";
import "../market/market.css";

const BEST = 3;

/** What its pool costs, and the cheapest of those it may go to. The plan has the last word on where it fits. */
export function Pools({ server, row }: { server: Server; row: FleetRow | undefined }) {
  const all = usePools().data;
  const here = row?.primary?.pool ?? server.primary?.pool ?? "";
  const best = useMemo(() => alternatives(all ?? [], server, here), [all, server, here]);
  const charted = useMemo(
    () => [here, ...best.map((pool) => pool.id)].filter((pool) => pool.endsWith("/spot")),
    [here, best],
  );
  return (
    <section className="card" aria-labelledby="prices">
      <header className="card__head">
        <h2 id="prices">Its pool and the best alternatives</h2>
        <span className="muted">7 days</span>
      </header>
      <div className="card__body">
        {charted.length > 0 ? (
          <PriceChart pools={charted} onDemand={row?.onDemandUsdPerHour ?? null} days={7} height={200} />
        ) : (
          <p className="muted empty-chart">No spot pool of its types has a price yet.</p>
        )}
      </div>
      {best.length > 0 && (
        <table className="table">
          <tbody>
            {best.map((pool) => (
              <tr key={pool.id}>
                <td>
                  <PoolName pool={pool.id} />
                </td>
                <td className="num">
                  <b>{price(pool.usd)}</b>
                </td>
                <td className="tone-good">{againstOnDemand(below(pool.usd, row?.onDemandUsdPerHour))}</td>
                <td className="muted">{pool.coolDownUntil ? "rests" : ""}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function alternatives(all: PoolFacts[], server: Server, here: string): PoolFacts[] {
  const policy = server.policy as { instance_types?: string[]; zones?: string[]; handoff?: string };
  const now = partsOf(here);
  const types = policy.instance_types?.length ? policy.instance_types : [now?.type ?? ""];
  const zones = policy.handoff === "volumes" && now ? [now.zone] : policy.zones;
  const fits = (pool: PoolFacts) =>
    pool.lifecycle === "spot" &&
    pool.usd !== null &&
    pool.id !== here &&
    pool.region === server.region &&
    types.includes(pool.type) &&
    (!zones?.length || zones.includes(pool.zone));
  return all
    .filter(fits)
    .toSorted((one, other) => (one.usd ?? 0) - (other.usd ?? 0))
    .slice(0, BEST);
}
