/** Events into the cache: at once where an event says all, and loaded again, bundled, where it does not. */
import type { QueryClient } from "@tanstack/react-query";
import { refreshRows } from "../api/fleet";
import { keys } from "../api/keys";
import type { Operation, StreamEvent } from "../api/types";
import type { FleetRow } from "../model/fleet";
import { reduceFleet } from "./reduceFleet";
import { reduceOperation } from "./reduceOperation";
import { changesRow, staleAfter, staleSums } from "./stale";
import { tape } from "./tape";

/** So long the page waits for more before it loads what an event left open. */
const BUNDLE_MS = 120;
/** Sums over the whole fleet: each costs the API more than a row does. */
const SUMS_MS = 2_000;

type Key = readonly unknown[];

const rows = new Set<string>();
const stale = new Map<string, Key>();
const sums = new Map<string, Key>();
let timer: ReturnType<typeof setTimeout> | undefined;
let sumsTimer: ReturnType<typeof setTimeout> | undefined;

export function applyEvents(queries: QueryClient, events: StreamEvent[]): void {
  tape.add(events);
  queries.setQueryData<FleetRow[]>(keys.fleet, (known) => known && reduceFleet(known, events));
  for (const event of events) {
    if (event.operation_id) {
      const key = keys.operation(event.operation_id);
      queries.setQueryData<Operation>(key, (known) => known && reduceOperation(known, event));
    }
    if (event.server_id && changesRow(event)) rows.add(event.server_id);
    for (const key of staleAfter(event)) stale.set(JSON.stringify(key), key);
    for (const key of staleSums(event)) sums.set(JSON.stringify(key), key);
  }
  timer ??= setTimeout(() => whenSeen(() => flush(queries)), BUNDLE_MS);
  sumsTimer ??= setTimeout(() => whenSeen(() => flushSums(queries)), SUMS_MS);
}

/** Events are missing for good: all that is shown is loaded again. */
export function refreshAll(queries: QueryClient): void {
  tape.clear();
  void queries.invalidateQueries();
}

/** Ten tabs that nobody looks at do not ask ten times; what they hold is right as far as events tell it. */
function whenSeen(work: () => void): void {
  if (document.visibilityState === "visible") work();
  else document.addEventListener("visibilitychange", () => whenSeen(work), { once: true });
}

function flush(queries: QueryClient): void {
  timer = undefined;
  const touched = [...rows];
  rows.clear();
  // What fails here is loaded again with the next event, or when the connection is back.
  if (touched.length) void refreshRows(queries, touched).catch(() => undefined);
  invalidate(queries, stale);
}

function flushSums(queries: QueryClient): void {
  sumsTimer = undefined;
  invalidate(queries, sums);
}

function invalidate(queries: QueryClient, which: Map<string, Key>): void {
  const found = [...which.values()];
  which.clear();
  for (const queryKey of found) void queries.invalidateQueries({ queryKey });
}
