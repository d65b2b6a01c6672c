/** Which rows are shown, and in which order: pure. */
import { rowState, type FleetRow } from "../../model/fleet";
import { partsOf } from "../../model/pools";

export type View = "all" | "attention" | "moving" | "spot" | "on-demand";
export type SortKey = "name" | "pool" | "state" | "agent" | "price" | "saving" | "risk" | "last";

export interface Sort {
  key: SortKey;
  down: boolean;
}

export function inView(row: FleetRow, view: View): boolean {
  if (view === "attention")
    return rowState(row).tone === "bad" || rowState(row).tone === "warn" || !!row.decisionId;
  if (view === "moving") return rowState(row).tone === "busy";
  if (view === "all") return true;
  return partsOf(row.primary?.pool)?.lifecycle === view;
}

/** Every word has to be somewhere: in its name, ID, pool, instance, state, region or last operation. */
export function matches(row: FleetRow, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [
    row.name,
    row.id,
    row.region,
    row.handoff,
    row.primary?.pool,
    row.primary?.instanceId,
    row.replica?.instanceId,
    rowState(row).label,
    row.last?.kind,
    row.last?.outcome,
  ]
    .join(" ")
    .toLowerCase();
  return words.every((word) => text.includes(word));
}

const TONES = { bad: 0, warn: 1, busy: 2, idle: 3, good: 4 };
const LEVELS = { high: 3, medium: 2, low: 1, unknown: 0 };

export function valueOf(row: FleetRow, key: SortKey): string | number {
  switch (key) {
    case "name":
      return row.name.toLowerCase();
    case "pool":
      return row.primary?.pool ?? "";
    case "state":
      return `${TONES[rowState(row).tone]} ${row.name.toLowerCase()}`;
    case "agent":
      return row.primary?.agentSeenAt ?? "";
    case "price":
      return row.primary?.usdPerHour ?? -1;
    case "saving":
      return row.primary?.usdPerHour && row.onDemandUsdPerHour
        ? 1 - row.primary.usdPerHour / row.onDemandUsdPerHour
        : -9;
    case "risk":
      return row.risk?.perMonth ?? LEVELS[row.risk?.level ?? "unknown"];
    case "last":
      return row.last?.at ?? "";
  }
}
