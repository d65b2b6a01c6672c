import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { refreshRows } from "../../api/fleet";

const AGAIN_MS = 60_000;

/** Prices and risks move without an event: the rows in sight, and only those, are asked for again. */
export function useFreshRows(ids: string[]): void {
  const queries = useQueryClient();
  const seen = useRef(ids);
  useEffect(() => {
    seen.current = ids;
  });
  useEffect(() => {
    const shown = new AbortController();
    const timer = setInterval(() => {
      if (document.visibilityState === "hidden" || seen.current.length === 0) return;
      refreshRows(queries, seen.current, shown.signal).catch(() => undefined); // the banner tells of a lost connection
    }, AGAIN_MS);
    return () => {
      clearInterval(timer);
      shown.abort();
    };
  }, [queries]);
}
