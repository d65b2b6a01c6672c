/** The words of the domain as the page says them, and the tone in which it does. */
export type Tone = "good" | "warn" | "bad" | "busy" | "idle";

export interface Badge {
  label: string;
  tone: Tone;
}

const KINDS: Record<string, string> = {
  launch: "Launch",
  switch: "Switch",
  failover: "Failover",
  terminate: "Terminate",
  replica_create: "Create replica",
  replica_drop: "Drop replica",
  promote: "Promote",
  release: "Release",
};

const STATUSES: Record<string, Badge> = {
  queued: { label: "Queued", tone: "busy" },
  running: { label: "Running", tone: "busy" },
  committed: { label: "Committed", tone: "good" },
  rolled_back: { label: "Rolled back", tone: "warn" },
  cancelled: { label: "Cancelled", tone: "idle" },
  needs_attention: { label: "Needs attention", tone: "bad" },
};

const INSTANCE_STATES: Record<string, Badge> = {
  launching: { label: "Launching", tone: "busy" },
  running_replica: { label: "Replica", tone: "good" },
  promoting: { label: "Promoting", tone: "busy" },
  running_primary: { label: "Running", tone: "good" },
  terminating: { label: "Terminating", tone: "busy" },
  terminated: { label: "Terminated", tone: "idle" },
  failed: { label: "Failed", tone: "bad" },
  released: { label: "Released", tone: "idle" },
};

const DECISION_STATES: Record<string, Badge> = {
  noted: { label: "Noted", tone: "idle" },
  proposed: { label: "Waits for you", tone: "warn" },
  approved: { label: "Approved", tone: "busy" },
  asked: { label: "Asked", tone: "busy" },
  done: { label: "Done", tone: "good" },
  failed: { label: "Failed", tone: "bad" },
  dropped: { label: "Dropped", tone: "idle" },
  expired: { label: "Expired", tone: "idle" },
  rejected: { label: "Rejected", tone: "idle" },
};

/** What each step does, for people who have not read the design. */
const STEPS: Record<string, string> = {
  plan: "Choose the pool; check quota, permissions, addresses and volumes",
  launch: "Start the replacement in the chosen pool",
  ready: "Wait until EC2 and the new agent say it is ready",
  copy: "Copy ahead what can move early",
  fence: "Stop the old service, flush and unmount",
  move: "Move volumes and addresses",
  serve: "Mount, start the service, check its health",
  commit: "Record the new primary",
  traffic: "Lead traffic to the new primary",
  retire: "End the old instance and confirm it",
  receipt: "Compare before and after",
  release: "Take our tags off",
};

const RUNNING = new Set(["queued", "running"]);

export const kindName = (kind: string): string => KINDS[kind] ?? sentence(kind);
export const statusBadge = (status: string): Badge =>
  STATUSES[status] ?? { label: sentence(status), tone: "idle" };
export const instanceBadge = (state: string): Badge =>
  INSTANCE_STATES[state] ?? { label: sentence(state), tone: "idle" };
export const decisionBadge = (state: string): Badge =>
  DECISION_STATES[state] ?? { label: sentence(state), tone: "idle" };
export const stepMeaning = (name: string): string => STEPS[name] ?? "";
export const isRunning = (status: string): boolean => RUNNING.has(status);

/** `best_already` as `Best already`. */
export function sentence(word: string): string {
  const spaced = word.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
