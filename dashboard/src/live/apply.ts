/** Events into the cache: at once where an event says all, and loaded again, bundled, where it does not. */
import type { QueryClient } from "@tanstack/react-query";
import { keys } from "../api/keys";
import type { Operation, StreamEvent } from "../api/types";
import type { FleetRow } from "../model/fleet";
import { reduceFleet } from "./reduceFleet";
import { reduceOperation } from "./reduceOperation";
import { refreshRows } from "../api/fleet";
import { changesRow, staleAfter } from "./stale";
import { tape } from "./tape";

/** So long the page waits for more before it loads what an event left open. */
const BUNDLE_MS = 120;

const rows = new Set<string>();
const pending = new Map<string, readonly unknown[]>();
let timer: ReturnType<typeof setTimeout> | undefined;

export function applyEvents(queries: QueryClient, events: StreamEvent[]): void {
  tape.add(events);
  queries.setQueryData<FleetRow[]>(keys.fleet, (known) => known && reduceFleet(known, events));
  for (const event of events) {
    if (event.server_id && changesRow(event)) rows.add(event.server_id);
    if (event.operation_id) {
      queries.setQueryData<Operation>(
        keys.operation(event.operation_id),
        (known) => known && reduceOperation(known, event),
      );
    }
    for (const key of staleAfter(event)) pending.set(JSON.stringify(key), key);
  }
  timer ??= setTimeout(() => flush(queries), BUNDLE_MS);
}

/** Events are missing for good: all that is shown is loaded again. */
export function refreshAll(queries: QueryClient): void {
  tape.clear();
  void queries.invalidateQueries();
}

function flush(queries: QueryClient): void {
  timer = undefined;
  const stale = [...pending.values()];
  const touched = [...rows];
  pending.clear();
  rows.clear();
  // What fails here is loaded again with the next event, or when the connection is back.
  if (touched.length) void refreshRows(queries, touched).catch(() => undefined);
  for (const queryKey of stale) void queries.invalidateQueries({ queryKey });
}
