/** An operation's steps as a list that can be ticked off: what was, what runs, and what is still to come. */
import type { Operation, Step } from "../api/types";
import { isRunning } from "./words";

export type StepState = "done" | "running" | "failed" | "ahead";

export interface StepRow {
  name: string;
  state: StepState;
  startedAt: string | null;
  ms: number | null;
  calls: string[];
  note: string;
  /** The service may be out while it runs. */
  outage: boolean;
}

const BEFORE = ["plan", "launch", "ready"];
const AHEAD: Record<string, string[]> = {
  "switch/volumes": [...BEFORE, "fence", "move", "serve", "commit", "retire"],
  "switch/snapshot": [...BEFORE, "copy", "fence", "move", "serve", "commit", "traffic", "retire"],
  "switch/stateless": [...BEFORE, "serve", "move", "fence", "commit", "retire"],
  "failover/volumes": ["plan", "launch", "fence", "move", "serve", "commit", "retire"],
  "failover/snapshot": ["plan", "launch", "copy", "fence", "move", "serve", "commit", "traffic", "retire"],
  "failover/stateless": ["plan", "launch", "serve", "move", "fence", "commit", "retire"],
  "promote/volumes": ["plan", "ready", "fence", "move", "serve", "commit", "retire"],
  replica_create: [...BEFORE, "commit"],
  replica_drop: ["commit", "retire"],
  launch: ["launch", "ready", "commit"],
  terminate: ["commit", "retire", "release"],
  release: ["commit", "release"],
};
const OUT = new Set(["fence", "move", "serve"]);

export function stepRows(operation: Operation): StepRow[] {
  const steps = operation.steps ?? [];
  const out = operation.handoff !== "stateless" && operation.handoff !== "";
  const rows = steps.map((step) => rowOf(step, out));
  if (!isRunning(operation.status)) return rows;
  const seen = new Set(steps.map((step) => step.name));
  const expected = AHEAD[`${operation.kind}/${operation.handoff}`] ?? AHEAD[operation.kind] ?? [];
  const last = Math.max(-1, ...steps.map((step) => expected.indexOf(step.name)));
  const ahead = expected.slice(last + 1).filter((name) => !seen.has(name));
  return [...rows, ...ahead.map((name) => aheadOf(name, out))];
}

function rowOf(step: Step, out: boolean): StepRow {
  return {
    name: step.name,
    state: step.ok === null ? "running" : step.ok ? "done" : "failed",
    startedAt: step.started_at,
    ms: step.ms,
    calls: step.calls,
    note: step.note,
    outage: out && OUT.has(step.name),
  };
}

function aheadOf(name: string, out: boolean): StepRow {
  return {
    name,
    state: "ahead",
    startedAt: null,
    ms: null,
    calls: [],
    note: "",
    outage: out && OUT.has(name),
  };
}

/** Past the commit an operation only goes forward. */
export function isCommitted(operation: Operation): boolean {
  return (operation.steps ?? []).some((step) => step.name === "commit" && step.ok === true);
}
