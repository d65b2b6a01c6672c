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

/** A step's place in the list is its position, which starts at 1. */
function stepsAfter(steps: Step[], event: StreamEvent): Step[] {
  const { payload } = event;
  const position = typeof payload.position === "number" ? payload.position : steps.length + 1;
  const known = steps[position - 1];
  if (payload.state === "started") {
    if (known) return steps;
    return [...steps, { ...blank(text(payload.step)), started_at: event.at }];
  }
  const ended: Step = {
    ...(known ?? { ...blank(text(payload.step)), started_at: event.at }),
    ended_at: event.at,
    ms: typeof payload.ms === "number" ? payload.ms : null,
    ok: payload.ok !== false,
    calls: Array.isArray(payload.calls) ? payload.calls.map(String) : [],
    note: text(payload.note),
  };
  return known ? steps.map((step, index) => (index === position - 1 ? ended : step)) : [...steps, ended];
}

function blank(name: string): Step {
  return { name, started_at: "", ended_at: null, ms: null, ok: null, calls: [], hooks: [], note: "" };
}

const text = (value: unknown): string => (typeof value === "string" ? value : "");
