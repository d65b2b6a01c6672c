/** The fleet's list after an event: pure, and the same however often an event comes. */
import type { StreamEvent } from "../api/types";
import type { FleetRow, Seat } from "../model/fleet";

const ENDS = new Set([
  "operation.committed",
  "operation.rolled_back",
  "operation.cancelled",
  "operation.needs_attention",
]);
const GONE = new Set(["terminated", "released"]);

export function reduceFleet(rows: FleetRow[], events: StreamEvent[]): FleetRow[] {
  const changed = new Map<string, FleetRow | null>();
  const byId = new Map(rows.map((row) => [row.id, row]));
  const added: string[] = [];
  for (const event of events) {
    if (!event.server_id) continue;
    const known = changed.has(event.server_id) ? changed.get(event.server_id) : byId.get(event.server_id);
    if (event.type === "server.ended") {
      if (known) changed.set(event.server_id, null);
    } else if (known) {
      const next = reduceRow(known, event);
      if (next !== known) changed.set(event.server_id, next);
    } else if (event.type === "server.adopted") {
      if (!byId.has(event.server_id)) added.push(event.server_id);
      changed.set(event.server_id, adopted(event.server_id, event));
    }
  }
  if (changed.size === 0) return rows;
  const kept = rows.flatMap((row) => (changed.has(row.id) ? (changed.get(row.id) ?? []) : row));
  return [...added.flatMap((id) => changed.get(id) ?? []), ...kept];
}

export function reduceRow(row: FleetRow, event: StreamEvent): FleetRow {
  const { type } = event;
  if (type === "operation.queued") return queued(row, event);
  if (type === "operation.running") return started(row, event);
  if (type === "operation.step") return stepped(row, event);
  if (type === "operation.attention")
    return { ...row, attention: text(event, "reason") || "An operation needs a person" };
  if (ENDS.has(type)) return ended(row, event);
  if (type === "notice.interruption") return noticed(row, event);
  if (type === "server.policy") return { ...row, handoff: text(event, "handoff") || row.handoff };
  if (type.startsWith("agent.")) return heard(row, event);
  if (type === "decision.proposed") return { ...row, decisionId: text(event, "decision_id") || null };
  if (type.startsWith("decision.")) return settled(row, event);
  if (type.startsWith("instance.")) return seated(row, event);
  return row;
}

function adopted(id: string, event: StreamEvent): FleetRow {
  return {
    id,
    name: text(event, "name"),
    region: text(event, "region"),
    handoff: text(event, "handoff"),
    createdAt: event.at,
    primary: null,
    replica: null,
    passing: null,
    onDemandUsdPerHour: null,
    risk: null,
    running: null,
    last: null,
    attention: "",
    deadline: null,
    decisionId: null,
  };
}

/** What runs is shown before what waits. */
function queued(row: FleetRow, event: StreamEvent): FleetRow {
  const operationId = event.operation_id ?? "";
  if (row.running?.operationId === operationId || row.running?.status === "running") return row;
  if (row.last?.operationId === operationId) return row;
  const running = { operationId, kind: text(event, "kind"), status: "queued", since: event.at, step: "" };
  return { ...row, running };
}

function started(row: FleetRow, event: StreamEvent): FleetRow {
  const operationId = event.operation_id ?? "";
  const step = row.running?.operationId === operationId ? row.running.step : "";
  return {
    ...row,
    running: { operationId, kind: text(event, "kind"), status: "running", since: event.at, step },
  };
}

function stepped(row: FleetRow, event: StreamEvent): FleetRow {
  if (row.running?.operationId !== event.operation_id) return row;
  return { ...row, running: { ...row.running, step: text(event, "step") } };
}

function ended(row: FleetRow, event: StreamEvent): FleetRow {
  const mine = row.running?.operationId === event.operation_id;
  const outcome = text(event, "outcome");
  return {
    ...row,
    running: mine ? null : row.running,
    last: { operationId: event.operation_id ?? "", kind: text(event, "kind"), outcome, at: event.at },
    attention: outcome === "needs_attention" ? text(event, "reason") || "An operation needs a person" : "",
    deadline: outcome === "committed" ? null : row.deadline,
  };
}

function noticed(row: FleetRow, event: StreamEvent): FleetRow {
  if (row.primary?.instanceId !== event.instance_id) return row;
  return { ...row, deadline: text(event, "deadline") || event.at };
}

/** Registered, silent, or back. When one falls silent, it was last heard of before the event. */
function heard(row: FleetRow, event: StreamEvent): FleetRow {
  if (!row.primary || row.primary.instanceId !== event.instance_id) return row;
  const agentOnline = event.type !== "agent.silent";
  const agentSeenAt = agentOnline ? event.at : row.primary.agentSeenAt;
  return { ...row, primary: { ...row.primary, agentSeenAt, agentOnline } };
}

function settled(row: FleetRow, event: StreamEvent): FleetRow {
  return row.decisionId === text(event, "decision_id") ? { ...row, decisionId: null } : row;
}

function seated(row: FleetRow, event: StreamEvent): FleetRow {
  const id = event.instance_id ?? "";
  const role = text(event, "role");
  const state = text(event, "state");
  const next = { ...row, passing: passing(row, id, state, event.at) };
  if (role === "primary") {
    next.primary = seat(row.primary?.instanceId === id ? row.primary : row.replica, id, event);
    if (row.replica?.instanceId === id) next.replica = null;
  } else if (role === "replica") {
    next.replica = seat(row.replica?.instanceId === id ? row.replica : row.primary, id, event);
    if (row.primary?.instanceId === id) next.primary = null;
  } else {
    // Without a role it is on its way in or out: a seat that it held is free.
    if (row.replica?.instanceId === id) next.replica = null;
    if (row.primary?.instanceId === id) next.primary = GONE.has(state) ? null : seat(row.primary, id, event);
  }
  return next;
}

const UNDER_WAY = new Set(["launching", "promoting", "terminating"]);

function passing(row: FleetRow, instanceId: string, state: string, at: string): FleetRow["passing"] {
  const known = row.passing;
  if (UNDER_WAY.has(state))
    return known?.instanceId === instanceId && known.state === state
      ? known
      : { instanceId, state, since: at };
  // A row that was loaded does not say which instance it is: any that arrives may be the one.
  return known && (known.instanceId === instanceId || known.instanceId === "") ? null : known;
}

function seat(former: Seat | null, instanceId: string, event: StreamEvent): Seat {
  const same = former?.instanceId === instanceId ? former : null;
  const state = text(event, "state");
  const usd = event.payload.usd_per_hour;
  return {
    instanceId,
    state,
    since: same?.state === state ? same.since : event.at,
    pool: text(event, "pool") || (same?.pool ?? ""),
    usdPerHour: typeof usd === "number" ? usd : (same?.usdPerHour ?? null),
    agentSeenAt: same?.agentSeenAt ?? null,
    agentOnline: same?.agentOnline ?? false,
  };
}

function text(event: StreamEvent, key: string): string {
  const value = event.payload[key];
  return typeof value === "string" ? value : "";
}
