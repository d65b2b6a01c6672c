import { Flag } from "lucide-react";
import type { Move, Plan } from "../../api/types";
import { againstBefore, hourly, usd } from "../../model/money";
import { duration } from "../../model/time";
import { sentence } from "../../model/words";
import { Note } from "../../ui/Note";
import { Skeleton } from "../../ui/Skeleton";

/** What the move itself costs, by part, and when it has paid for itself. */
function MoveCost({ move }: { move: Move }) {
  const parts = [
    `overlap ${usd(move.overlap_usd)}`,
    `snapshots ${usd(move.snapshot_usd)}`,
    `outage ${usd(move.outage_usd)}`,
  ];
  return (
    <>
      <div>
        <dt>Move costs</dt>
        <dd>
          {usd(move.usd)} <small>{parts.join(", ")}</small>
        </dd>
      </div>
      <div>
        <dt>Paid back</dt>
        <dd>
          {paidBack(move)} <small>{move.with_risk ? "risk included" : "by price alone"}</small>
        </dd>
      </div>
    </>
  );
}

function paidBack(move: Move): string {
  if (move.gain_usd_per_h === null) return "price not known";
  return move.payback_h === null ? "never" : `after ${duration(move.payback_h * 3_600_000)}`;
}

/** What would be done, in order, and where it can no longer be undone. */
export function PlanDetails({ plan }: { plan: Plan | undefined }) {
  if (!plan) return <Skeleton height={260} />;
  return (
    <section className="plan" aria-label="The plan">
      <dl className="plan__figures">
        <div>
          <dt>Service out</dt>
          <dd>
            {plan.expected_outage_s > 0 ? `about ${duration(plan.expected_outage_s * 1_000)}` : "not at all"}
          </dd>
        </div>
        <div>
          <dt>Price</dt>
          <dd>
            {hourly(plan.hourly_then)} <small>{againstBefore(plan.hourly_now, plan.hourly_then)}</small>
          </dd>
        </div>
        {plan.move && <MoveCost move={plan.move} />}
        <div>
          <dt>Handoff</dt>
          <dd>{sentence(plan.handoff)}</dd>
        </div>
      </dl>
      {plan.findings.map((finding) => (
        <Note key={finding.code + finding.what} tone={finding.blocking ? "bad" : "warn"} title={finding.what}>
          {finding.mend && <code>{finding.mend}</code>}
        </Note>
      ))}
      {plan.candidates.length === 0 && plan.reason && <Note tone="bad" title={plan.reason} />}
      <div className="plan__columns">
        <div>
          <h3>What happens</h3>
          <ol className="plan__steps">
            {plan.steps.map((step) => (
              <li key={step.name} data-outage={step.outage || undefined}>
                <b>{sentence(step.name)}</b>
                <span className="muted">{step.does}</span>
                <span className="plan__time">{duration(step.expected_s * 1_000)}</span>
                {step.point_of_no_return && (
                  <em>
                    <Flag aria-hidden /> point of no return: before it everything is undone, after it it only
                    goes on
                  </em>
                )}
              </li>
            ))}
          </ol>
        </div>
        <div>
          <h3>What moves along</h3>
          <ul className="plan__moves">
            {plan.moves.map((move) => (
              <li key={move}>{move}</li>
            ))}
            {plan.moves.length === 0 && <li className="muted">Nothing: no volume and no address.</li>}
          </ul>
        </div>
      </div>
    </section>
  );
}
