import { useMemo } from "react";
import { useOutlook, type Outlook, type Seen } from "../../api/market";
import type { Server } from "../../api/types";
import type { FleetRow } from "../../model/fleet";
import { price } from "../../model/money";
import { HOURS_A_MONTH, often } from "../../model/risk";
import { sentence } from "../../model/words";
import { PoolName } from "../../ui/PoolName";
import { ProblemNote } from "../../ui/ProblemNote";
import { PriceChart } from "../market/PriceChart";
import "../market/market.css";

const CHARTED = 4;

/** What its pool costs, and the best of those it may go to, as the autopilot weighs them: price and risk. */
export function Pools({ server, row }: { server: Server; row: FleetRow | undefined }) {
  const outlook = useOutlook(server.id);
  const here = row?.primary?.pool ?? server.primary?.pool ?? "";
  const others = outlook.data?.others;
  const charted = useMemo(
    () =>
      [here, ...(others ?? []).map((one) => one.pool)]
        .filter((pool) => pool.endsWith("/spot"))
        .slice(0, CHARTED),
    [here, others],
  );
  const onDemand = outlook.data?.onDemandUsd ?? row?.onDemandUsdPerHour ?? null;
  return (
    <section className="card" aria-labelledby="prices">
      <header className="card__head">
        <h2 id="prices">Its pool and the best alternatives</h2>
        <span className="muted">prices of 7 days</span>
      </header>
      <div className="card__body">
        {charted.length > 0 ? (
          <PriceChart pools={charted} onDemand={onDemand} days={7} height={200} />
        ) : (
          <p className="muted empty-chart">
            {outlook.isPending
              ? "Looking at the pools it may go to…"
              : "No spot pool of its types has a price yet."}
          </p>
        )}
      </div>
      {outlook.error && (
        <div className="card__body">
          <ProblemNote error={outlook.error} doing="The alternatives are not known" />
        </div>
      )}
      {outlook.data && <Weighed outlook={outlook.data} />}
    </section>
  );
}

function Weighed({ outlook }: { outlook: Outlook }) {
  const rows = outlook.here ? [outlook.here, ...outlook.others] : outlook.others;
  return (
    <>
      <div className="scroll-x">
        <table className="table">
          <thead>
            <tr>
              <th>Pool</th>
              <th className="num">Price</th>
              <th className="num">Risk costs</th>
              <th className="num">Both</th>
              <th>Expected losses</th>
            </tr>
          </thead>
          <tbody>
            {rows.map((one) => (
              <SeenRow key={one.pool} seen={one} here={one === outlook.here} />
            ))}
          </tbody>
        </table>
      </div>
      <p className="card__body muted">
        The autopilot would <b>{sentence(outlook.kind).toLowerCase()}</b>:{" "}
        {sentence(outlook.reason).toLowerCase()}
        {outlook.heldBy && `, held by ${sentence(outlook.heldBy).toLowerCase()}`}.
      </p>
    </>
  );
}

function SeenRow({ seen, here }: { seen: Seen; here: boolean }) {
  return (
    <tr>
      <td>
        <PoolName pool={seen.pool} /> {here && <span className="chip">here</span>}
        {seen.blocked && <small className="tone-warn"> {sentence(seen.blocked).toLowerCase()}</small>}
      </td>
      <td className="num">{price(seen.usd_per_h)}</td>
      <td className="num muted">{price(seen.risk_usd_per_h)}</td>
      <td className="num">
        <b>{price(seen.cost_usd_per_h)}</b>
      </td>
      <td className="muted">
        {often(typeof seen.losses_per_h === "number" ? seen.losses_per_h * HOURS_A_MONTH : null)}
      </td>
    </tr>
  );
}
