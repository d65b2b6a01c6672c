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
/** After rows could not be loaded; twice as long after each further failure. */
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 30_000;

type Key = readonly unknown[];

const rows = new Set<string>();
const stale = new Map<string, Key>();
const sums = new Map<string, Key>();
let timer: ReturnType<typeof setTimeout> | undefined;
let sumsTimer: ReturnType<typeof setTimeout> | undefined;
let retryTimer: ReturnType<typeof setTimeout> | undefined;
let failures = 0;
let loading = new AbortController();

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

/** Another client's turn: nothing that is known, open or on its way of this one is for its rows. */
export function forgetEvents(): void {
  tape.clear();
  rows.clear();
  stale.clear();
  sums.clear();
  clearTimeout(retryTimer);
  retryTimer = undefined;
  failures = 0;
  loading.abort();
  loading = new AbortController();
}

/** Ten tabs that nobody looks at do not ask ten times; what they hold is right as far as events tell it. */
function whenSeen(work: () => void): void {
  if (document.visibilityState === "visible") work();
  else document.addEventListener("visibilitychange", () => whenSeen(work), { once: true });
}

function flush(queries: QueryClient): void {
  timer = undefined;
  if (rows.size) void loadRows(queries);
  invalidate(queries, stale);
}

/** What cannot be loaded is not forgotten: no event may come again for it. */
async function loadRows(queries: QueryClient): Promise<void> {
  const touched = [...rows];
  const { signal } = loading;
  rows.clear();
  clearTimeout(retryTimer);
  retryTimer = undefined;
  try {
    await refreshRows(queries, touched, signal);
    failures = 0;
  } catch {
    if (signal.aborted) return;
    touched.forEach((id) => rows.add(id));
    const wait = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** failures);
    failures += 1;
    retryTimer ??= setTimeout(() => whenSeen(() => flush(queries)), wait);
  }
}

function flushSums(queries: QueryClient): void {
  sumsTimer = undefined;
  invalidate(queries, sums);
}

function invalidate(queries: QueryClient, which: Map<string, Key>): void {
  const found = [...which.values()];
  which.clear();
  for (const queryKey of found) void loadAgain(queries, queryKey);
}

/** A first answer that was under way may be older than the event: an invalidation alone would wait for it and be done. */
async function loadAgain(queries: QueryClient, queryKey: Key): Promise<void> {
  const begun = queries
    .getQueryCache()
    .findAll({ queryKey, fetchStatus: "fetching" })
    .filter((query) => query.state.data === undefined);
  await queries.invalidateQueries({ queryKey });
  await Promise.all(
    begun.map((query) => queries.invalidateQueries({ queryKey: query.queryKey, exact: true })),
  );
}
