/** An operation after an event of it: its steps tick off without asking the API again. */
import { isRunning } from "../model/words";
import type { Operation, Step, StreamEvent } from "../api/types";

export function reduceOperation(operation: Operation, event: StreamEvent): Operation {
  if (event.operation_id !== operation.id) return operation;
  const { type, payload } = event;
  if (!isRunning(operation.status)) return operation; // loaded after its end; this event is older
  if (type === "operation.running")
    return { ...operation, status: "running", started_at: operation.started_at ?? event.at };
  if (type === "operation.step") return { ...operation, steps: stepsAfter(operation.steps ?? [], event) };
  if (type === "operation.attention")
    return { ...operation, attention: true, attention_reason: text(payload.reason) };
  const outcome = text(payload.outcome);
  if (!outcome || type !== `operation.${outcome}`) return operation;
  return {
    ...operation,
    status: outcome,
    outcome,
    reason: text(payload.reason),
    finished_at: event.at,
    from_pool: text(payload.from_pool) || operation.from_pool,
    to_pool: text(payload.to_pool) || operation.to_pool,
    attention: outcome === "needs_attention",
  };
}

/** A step is known by its position, which starts at 1: the list has a gap where an event was missed. */
function stepsAfter(steps: Step[], event: StreamEvent): Step[] {
  const { payload } = event;
  const next = Math.max(0, ...steps.map(positionOf)) + 1;
  const position = typeof payload.position === "number" ? payload.position : next;
  const at = steps.findIndex((step, index) => positionOf(step, index) === position);
  const known = steps[at] ?? { ...blank(text(payload.step)), position, started_at: event.at };
  if (payload.state === "started") return at < 0 ? placed(steps, known, position) : steps;
  const ended: Step = {
    ...known,
    ended_at: event.at,
    ms: typeof payload.ms === "number" ? payload.ms : null,
    ok: payload.ok !== false,
    calls: Array.isArray(payload.calls) ? payload.calls.map(String) : [],
    note: text(payload.note),
  };
  return at < 0 ? placed(steps, ended, position) : steps.with(at, ended);
}

function placed(steps: Step[], step: Step, position: number): Step[] {
  const later = steps.findIndex((other, index) => positionOf(other, index) > position);
  return steps.toSpliced(later < 0 ? steps.length : later, 0, step);
}

const positionOf = (step: Step, index: number): number => step.position ?? index + 1;

function blank(name: string): Step {
  return { name, started_at: "", ended_at: null, ms: null, ok: null, calls: [], hooks: [], note: "" };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
