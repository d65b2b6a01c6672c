import { useSyncExternalStore } from "react";

const narrow = matchMedia("(max-width: 1000px)");

function subscribe(watcher: () => void): () => void {
  narrow.addEventListener("change", watcher);
  return () => narrow.removeEventListener("change", watcher);
}

/** Too narrow for tables with many columns. */
export function useNarrow(): boolean {
  return useSyncExternalStore(subscribe, () => narrow.matches);
}
