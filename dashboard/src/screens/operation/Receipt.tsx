import { againstBefore, hourly } from "../../model/money";
import { duration } from "../../model/time";
import type { Receipt as Document } from "./documents";

export function Receipt({ receipt }: { receipt: Document }) {
  const cheaper = receipt.hourly_after < receipt.hourly_before;
  return (
    <section className="card" aria-labelledby="receipt">
      <header className="card__head">
        <h2 id="receipt">Receipt</h2>
      </header>
      <dl className="facts card__body">
        <dt>Service was out</dt>
        <dd>{receipt.control_outage_ms === null ? "not at all" : duration(receipt.control_outage_ms)}</dd>
        {receipt.hourly_after > 0 && (
          <>
            <dt>Price</dt>
            <dd>
              {hourly(receipt.hourly_before)} → {hourly(receipt.hourly_after)}{" "}
              <span className={cheaper ? "tone-good" : "muted"}>
                {againstBefore(receipt.hourly_before, receipt.hourly_after)}
              </span>
            </dd>
          </>
        )}
        <dt>EC2 calls</dt>
        <dd>{receipt.calls}</dd>
        <dt>Attributes</dt>
        <dd className={receipt.unexplained_changes ? "tone-bad" : undefined}>
          {receipt.changes.length} differ, {receipt.unexplained_changes || "none"} unexplained
        </dd>
        {receipt.tried_pools.length > 0 && (
          <>
            <dt>Tried before</dt>
            <dd>
              <ul>
                {receipt.tried_pools.map((pool) => (
                  <li key={pool}>{pool}</li>
                ))}
              </ul>
            </dd>
          </>
        )}
      </dl>
    </section>
  );
}
