/** A server as the fleet's list shows it. */
import type { Tone } from "./words";

export interface Seat {
  instanceId: string;
  state: string;
  /** When it came to that state. */
  since: string;
  pool: string;
  usdPerHour: number | null;
  agentSeenAt: string | null;
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
  level: "low" | "medium" | "high" | "unknown";
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

/** One word for how the server is: what needs a person first, then what moves, then what is. */
export function rowState(row: FleetRow): RowState {
  if (row.attention) return { label: "Needs attention", tone: "bad", since: null, detail: row.attention };
  if (row.running) {
    const queued = row.running.status === "queued";
    const label = queued ? "Queued" : (DOING[row.running.kind] ?? "Busy");
    return { label, tone: "busy", since: row.running.since, detail: row.running.step };
  }
  if (row.deadline) return { label: "Notice", tone: "warn", since: null, detail: "AWS is taking the instance away" };
  if (!row.primary) return { label: "No primary", tone: "bad", since: null, detail: "" };
  if (row.primary.state === "running_primary") return { label: "Running", tone: "good", since: null, detail: "" };
  const label = PASSING[row.primary.state] ?? row.primary.state;
  return { label, tone: "busy", since: row.primary.since, detail: "" };
}

const PASSING: Record<string, string> = {
  launching: "Launching",
  promoting: "Promoting",
  terminating: "Terminating",
  failed: "Failed",
  running_replica: "Replica only",
};

/** Agents report every few seconds; after this long one counts as away. */
export const AGENT_AWAY_MS = 45_000;

export function agentOnline(row: FleetRow, now: number): boolean {
  const seen = row.primary?.agentSeenAt;
  return !!seen && now - Date.parse(seen) < AGENT_AWAY_MS;
}
