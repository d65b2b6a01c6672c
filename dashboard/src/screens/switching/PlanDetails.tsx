import { Flag } from "lucide-react";
import type { Plan } from "../../api/types";
import { againstBefore, hourly } from "../../model/money";
import { duration } from "../../model/time";
import { sentence } from "../../model/words";
import { Note } from "../../ui/Note";
import { Skeleton } from "../../ui/Skeleton";

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
