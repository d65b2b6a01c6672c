/** The fleet's rows, all of them: they are filtered, sorted and searched on the page. */
import { skipToken, useQuery, type QueryClient } from "@tanstack/react-query";
import { reduceFleet } from "../live/reduceFleet";
import { tape } from "../live/tape";
import type { FleetRow, Risk } from "../model/fleet";
import { levelOf } from "../model/risk";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { Schemas } from "./types";

type Given = Schemas["FleetServer"];
type Page = Schemas["FleetPage"];

/** Most IDs that the API takes in one request. */
const AT_ONCE = 100;

export function useFleet() {
  return useQuery({
    queryKey: keys.fleet,
    queryFn: async ({ client, signal }) => {
      const rows = await everyRow(signal, (first) => client.setQueryData(keys.firstRows, first));
      client.removeQueries({ queryKey: keys.firstRows });
      return rows;
    },
  });
}

/** The first page of a large fleet, to look at until all of it is there. Nothing is to be counted by it. */
export function useFirstRows(): FleetRow[] | undefined {
  return useQuery<FleetRow[]>({ queryKey: keys.firstRows, queryFn: skipToken, staleTime: Infinity }).data;
}

export async function everyRow(
  signal: AbortSignal,
  onFirst: (rows: FleetRow[]) => void,
): Promise<FleetRow[]> {
  const first = await pageOf({}, signal);
  const rows = first.items.map(rowOf);
  if (first.next_cursor) onFirst(caughtUp([...rows], first.as_of));
  for (let cursor = first.next_cursor; cursor;) {
    const page = await pageOf({ cursor }, signal);
    rows.push(...page.items.map(rowOf));
    cursor = page.next_cursor;
  }
  return caughtUp(rows, first.as_of);
}

const pageOf = (query: { cursor?: string; server_id?: string[] }, signal: AbortSignal): Promise<Page> =>
  answerOf(api.GET("/api/fleet", { params: { query }, signal }));

/** Load these rows again, for what no event tells: heartbeats, prices, risks. */
export async function refreshRows(queries: QueryClient, ids: string[], signal: AbortSignal): Promise<void> {
  for (let at = 0; at < ids.length; at += AT_ONCE) {
    const wanted = ids.slice(at, at + AT_ONCE);
    const page = await pageOf({ server_id: wanted }, signal);
    if (signal.aborted) return;
    queries.setQueryData<FleetRow[]>(keys.fleet, (rows) => rows && merged(rows, wanted, page));
  }
}

function merged(rows: FleetRow[], wanted: string[], page: Page): FleetRow[] {
  const active = page.items.filter((item) => item.state !== "ended");
  const fresh = new Map(caughtUp(active.map(rowOf), page.as_of).map((row) => [row.id, row]));
  const asked = new Set(wanted);
  const kept = rows.flatMap((row) => {
    if (!asked.has(row.id)) return row;
    const now = fresh.get(row.id);
    fresh.delete(row.id);
    return now ? carried(row, now) : [];
  });
  return [...fresh.values(), ...kept];
}

/** What the API does not say of a row: an intent that is still being asked, and a notice's deadline. */
function carried(before: FleetRow, now: FleetRow): FleetRow {
  const intent =
    before.running?.operationId.startsWith("intent:") && !now.running ? before.running : now.running;
  return {
    ...now,
    running: intent,
    deadline: now.primary?.instanceId === before.primary?.instanceId ? before.deadline : null,
  };
}

/** Events that came while the answer was on its way are newer than it. */
function caughtUp(rows: FleetRow[], asOf: number | null | undefined): FleetRow[] {
  return reduceFleet(rows, tape.after(asOf ?? 0));
}

export function rowOf(given: Given): FleetRow {
  return {
    id: given.id,
    name: given.name,
    region: given.region,
    handoff: given.handoff,
    createdAt: given.created_at,
    primary: primaryOf(given),
    replica: given.replica
      ? {
          instanceId: given.replica.instance_id,
          state: given.replica.state,
          since: given.created_at,
          pool: given.replica.pool,
          usdPerHour: given.replica.usd_per_hour,
          agentSeenAt: null,
          agentOnline: given.replica.agent_online,
        }
      : null,
    passing:
      PASSING.has(given.state) && given.since
        ? { instanceId: "", state: given.state, since: given.since }
        : null,
    onDemandUsdPerHour: given.on_demand_usd_per_hour,
    risk: riskOf(given.risk),
    running: runningOf(given),
    last: lastOf(given.last_operation),
    attention: given.attention ?? "",
    deadline: null,
    decisionId: given.decision?.state === "proposed" ? given.decision.id : null,
  };
}

const PASSING = new Set(["launching", "promoting", "terminating"]);

function primaryOf(given: Given): FleetRow["primary"] {
  if (!given.instance_id) return null;
  return {
    instanceId: given.instance_id,
    state: given.state === "failed" ? "failed" : "running_primary",
    since: given.since ?? given.created_at,
    pool: given.pool,
    usdPerHour: given.usd_per_hour,
    agentSeenAt: given.agent_seen_at,
    agentOnline: given.agent_online,
  };
}

function runningOf(given: Given): FleetRow["running"] {
  const { running } = given;
  if (!running) {
    if (!given.queued) return null;
    return { operationId: "", kind: "", status: "queued", since: given.since ?? given.created_at, step: "" };
  }
  return {
    operationId: running.id,
    kind: running.kind,
    status: running.status,
    since: running.started_at ?? running.requested_at,
    step: running.step ?? "",
  };
}

function lastOf(last: Given["last_operation"]): FleetRow["last"] {
  if (!last?.finished_at) return null;
  return { operationId: last.id, kind: last.kind, outcome: last.status, at: last.finished_at };
}

function riskOf(risk: Given["risk"]): Risk | null {
  if (!risk) return null;
  return { level: levelOf(risk.losses_per_month), perMonth: risk.losses_per_month, reason: risk.reason };
}
