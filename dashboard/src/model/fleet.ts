/** A server as the fleet's list shows it. */
import type { Level } from "./risk";
import type { Tone } from "./words";

export interface Seat {
  instanceId: string;
  state: string;
  /** When it came to that state. */
  since: string;
  pool: string;
  usdPerHour: number | null;
  agentSeenAt: string | null;
  /** As the API found, and as events have told since. */
  agentOnline: boolean;
}

/** An instance on its way in or out, and since when. */
export interface Passing {
  instanceId: string;
  state: string;
  since: string;
}

export interface Running {
  operationId: string;
  kind: string;
  status: string;
  since: string;
  step: string;
}

export interface Last {
  operationId: string;
  kind: string;
  outcome: string;
  at: string;
}

export interface Risk {
  level: Level;
  /** Expected interruptions a month; null: not known. */
  perMonth: number | null;
  reason: string;
}

export interface FleetRow {
  id: string;
  name: string;
  region: string;
  handoff: string;
  createdAt: string;
  primary: Seat | null;
  replica: Seat | null;
  passing: Passing | null;
  onDemandUsdPerHour: number | null;
  risk: Risk | null;
  running: Running | null;
  last: Last | null;
  /** Why a person should look; empty: nobody needs to. */
  attention: string;
  /** When AWS takes the primary away; null: no notice. */
  deadline: string | null;
  /** A decision of the autopilot that waits for a person's word. */
  decisionId: string | null;
}

export interface RowState {
  label: string;
  tone: Tone;
  /** Since when, for what passes. */
  since: string | null;
  detail: string;
}

const DOING: Record<string, string> = {
  launch: "Launching",
  switch: "Switching",
  failover: "Failing over",
  terminate: "Terminating",
  replica_create: "Adding replica",
  replica_drop: "Dropping replica",
  promote: "Promoting",
  release: "Releasing",
};

const PASSING: Record<string, string> = {
  launching: "Launching",
  promoting: "Promoting",
  terminating: "Terminating",
};

/** One word for how the server is: what needs a person first, then what moves, then what is. */
export function rowState(row: FleetRow): RowState {
  if (row.attention) return { label: "Needs attention", tone: "bad", since: null, detail: row.attention };
  if (row.running) {
    const queued = row.running.status === "queued";
    const label = queued ? "Queued" : (DOING[row.running.kind] ?? "Busy");
    return { label, tone: "busy", since: row.running.since, detail: row.running.step };
  }
  if (row.deadline)
    return { label: "Notice", tone: "warn", since: null, detail: "AWS takes the instance away" };
  if (row.passing) {
    const label = PASSING[row.passing.state] ?? "Busy";
    return { label, tone: "busy", since: row.passing.since, detail: "" };
  }
  if (!row.primary) return { label: "No primary", tone: "bad", since: null, detail: "" };
  if (row.primary.state === "failed") return { label: "Failed", tone: "bad", since: null, detail: "" };
  return { label: "Running", tone: "good", since: null, detail: "" };
}
