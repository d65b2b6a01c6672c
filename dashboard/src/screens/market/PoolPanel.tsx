import { useMemo, useState } from "react";
import type { PoolFacts } from "../../model/heat";
import { often } from "../../model/risk";
import { againstOnDemand, below, hourly } from "../../model/money";
import { Ago, Until } from "../../ui/Elapsed";
import { useNow } from "../../ui/now";
import { PoolName } from "../../ui/PoolName";
import { Segments } from "../../ui/Segments";
import { PriceChart } from "./PriceChart";

const DAYS = [
  { value: "1", label: "24 h" },
  { value: "7", label: "7 d" },
  { value: "30", label: "30 d" },
];

export function PoolPanel({ pool }: { pool: PoolFacts }) {
  const [days, setDays] = useState("7");
  const now = useNow();
  const pools = useMemo(() => [pool.id], [pool.id]);
  const part = below(pool.usd, pool.onDemandUsd);
  const rests = pool.coolDownUntil !== null && Date.parse(pool.coolDownUntil) > now;
  return (
    <section className="card pool-panel" aria-label={`Pool ${pool.id}`}>
      <header className="card__head">
        <h2>
          <PoolName pool={pool.id} />
        </h2>
      </header>
      <div className="card__body stack">
        <div className="pool-panel__price">
          <b>{hourly(pool.usd)}</b>
          <span className={part && part > 0 ? "tone-good" : "muted"}>{againstOnDemand(part)}</span>
        </div>
        <Segments label="Time shown" choices={DAYS} value={days} onChange={setDays} />
        <PriceChart pools={pools} onDemand={pool.onDemandUsd} days={Number(days)} height={220} />
        <dl className="facts">
          <dt>On-demand</dt>
          <dd>{hourly(pool.onDemandUsd)}</dd>
          <dt>Priced</dt>
          <dd>
            <Ago at={pool.pricedAt} />
          </dd>
          <dt>Notices</dt>
          <dd className={pool.notices ? "tone-warn" : undefined}>{pool.notices || "none"}</dd>
          <dt>No capacity</dt>
          <dd className={pool.capacityFailures ? "tone-warn" : undefined}>
            {pool.capacityFailures ? `${pool.capacityFailures} times` : "never"}
          </dd>
          <dt>Expected losses</dt>
          <dd>{often(pool.lossesPerMonth)}</dd>
          <dt>Placement score</dt>
          <dd>{pool.placementScore === null ? "not known" : `${pool.placementScore} of 10`}</dd>
          {rests && pool.coolDownUntil && (
            <>
              <dt>Rests</dt>
              <dd className="tone-warn">
                for <Until at={pool.coolDownUntil} />: {pool.coolDownReason}
              </dd>
            </>
          )}
        </dl>
      </div>
    </section>
  );
}
