import { Check, Circle, LoaderCircle, X } from "lucide-react";
import type { StepRow, StepState } from "../model/steps";
import { duration } from "../model/time";
import { sentence, stepMeaning } from "../model/words";
import { Elapsed } from "./Elapsed";
import "./steps.css";

const ICONS = { done: Check, running: LoaderCircle, failed: X, ahead: Circle } as const;
const WORDS: Record<StepState, string> = {
  done: "done",
  running: "running",
  failed: "failed",
  ahead: "to come",
};

/** Steps that tick off as they happen. `detailed`: with the calls of each. */
export function Steps({ rows, detailed }: { rows: StepRow[]; detailed?: boolean }) {
  return (
    <ol className="steps" aria-label="Steps">
      {rows.map((row, index) => (
        <StepItem key={`${row.name}-${index}`} row={row} detailed={!!detailed} />
      ))}
    </ol>
  );
}

function StepItem({ row, detailed }: { row: StepRow; detailed: boolean }) {
  const Icon = ICONS[row.state];
  return (
    <li className="step" data-state={row.state} data-step={row.name}>
      <span className="step__icon">
        <Icon aria-hidden />
        <span className="visually-hidden">{WORDS[row.state]}</span>
      </span>
      <div className="step__what">
        <span className="step__name">
          {sentence(row.name)}
          {row.outage && <span className="step__out">service out</span>}
        </span>
        <small className="muted">{stepMeaning(row.name)}</small>
        {row.note && <small className={row.state === "failed" ? "tone-bad" : "muted"}>{row.note}</small>}
        {detailed && row.calls.length > 0 && (
          <small className="step__calls">
            {row.calls.map((call, index) => (
              <code key={index}>{call}</code>
            ))}
          </small>
        )}
      </div>
      <span className="step__time">
        {row.state === "running" && row.startedAt ? <Elapsed since={row.startedAt} /> : null}
        {row.state === "done" || row.state === "failed" ? duration(row.ms) : null}
      </span>
    </li>
  );
}
