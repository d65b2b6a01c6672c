/** Events that were before this tab listened; what comes after is on its tape. */
import { useInfiniteQuery } from "@tanstack/react-query";
import { useMemo, useSyncExternalStore } from "react";
import { tape } from "../live/tape";
import { answerOf, api } from "./http";
import { keys } from "./keys";
import type { StreamEvent } from "./types";

export interface EventFilter {
  server_id?: string;
  operation_id?: string;
}

/** Newest first; `next`: where the page before it in time begins. */
interface Page {
  events: StreamEvent[];
  next: number | undefined;
}

const PAGE = 100;

/** Newest first: the live ones, then page after page of the past. */
export function useEvents(filter: EventFilter) {
  const live = useSyncExternalStore(tape.subscribe, tape.snapshot);
  const past = useInfiniteQuery({
    queryKey: [...keys.events, filter],
    queryFn: ({ signal, pageParam }) => before(filter, pageParam, signal),
    initialPageParam: 0,
    getNextPageParam: (page) => page.next,
    gcTime: 0,
  });
  const events = useMemo(
    () => joined(live, past.data?.pages.flatMap((page) => page.events) ?? [], filter),
    [live, past.data, filter],
  );
  return { events, past };
}

function joined(live: StreamEvent[], past: StreamEvent[], filter: EventFilter): StreamEvent[] {
  const newest = past[0]?.seq ?? -1;
  return [...live.filter((event) => event.seq > newest && isIn(event, filter)), ...past];
}

export function isIn(event: StreamEvent, filter: EventFilter): boolean {
  if (filter.server_id && event.server_id !== filter.server_id) return false;
  return !filter.operation_id || event.operation_id === filter.operation_id;
}

async function before(filter: EventFilter, seq: number, signal: AbortSignal): Promise<Page> {
  const query = { ...filter, before: seq || undefined, order: "newest", limit: PAGE } as const;
  const page = await answerOf(api.GET("/api/events", { params: { query }, signal }));
  return { events: page.items, next: page.next_before ?? undefined };
}
