/** Rows and events for tests, whole but for what a test is about. */
import type { Operation, StreamEvent } from "../api/types";
import type { FleetRow, Seat } from "../model/fleet";

export const NOW = "2026-01-01T12:00:00Z";

export function seat(change: Partial<Seat> = {}): Seat {
  return {
    instanceId: "i-1",
    state: "running_primary",
    since: NOW,
    pool: "us-east-1a/m5.large/on-demand",
    usdPerHour: 0.096,
    agentSeenAt: NOW,
    agentOnline: true,
    ...change,
  };
}

export function row(change: Partial<FleetRow> = {}): FleetRow {
  return {
    id: "srv-1",
    name: "orders",
    region: "us-east-1",
    handoff: "volumes",
    createdAt: NOW,
    primary: seat(),
    replica: null,
    passing: null,
    onDemandUsdPerHour: 0.096,
    risk: null,
    running: null,
    last: null,
    attention: "",
    deadline: null,
    decisionId: null,
    ...change,
  };
}

let seq = 0;

export function event(
  type: string,
  payload: StreamEvent["payload"] = {},
  change: Partial<StreamEvent> = {},
): StreamEvent {
  seq += 1;
  return {
    seq,
    type,
    at: NOW,
    server_id: "srv-1",
    instance_id: null,
    operation_id: "op-1",
    payload,
    ...change,
  };
}

export function operation(change: Partial<Operation> = {}): Operation {
  return {
    id: "op-1",
    server_id: "srv-1",
    server_name: "orders",
    kind: "switch",
    priority: 75,
    status: "running",
    attention: false,
    attention_reason: "",
    requested_by: "tok-1",
    asked_pool: "",
    handoff: "volumes",
    from_pool: "us-east-1a/m5.large/on-demand",
    to_pool: "",
    outcome: null,
    reason: "",
    workflow_id: "operation/op-1",
    workflow_run_id: "",
    requested_at: NOW,
    started_at: NOW,
    finished_at: null,
    duration_seconds: null,
    steps: [],
    receipt: null,
    cancellable: true,
    temporal_url: null,
    ...change,
  };
}
