/** How likely it is that AWS takes an instance away, in words. */
export const HOURS_A_MONTH = 730;

export type Level = "low" | "medium" | "high" | "unknown";

/** Losses a month, as a person weighs them: less than one in two months; less than one in ten days. */
export function levelOf(perMonth: number | null | undefined): Level {
  if (perMonth === null || perMonth === undefined) return "unknown";
  if (perMonth < 0.5) return "low";
  return perMonth < 3 ? "medium" : "high";
}

/** `2.4 a month`, `one in 5 months`. */
export function often(perMonth: number | null | undefined): string {
  if (perMonth === null || perMonth === undefined) return "not known";
  if (perMonth >= 1) return `${perMonth.toFixed(1)} a month`;
  if (perMonth < 0.01) return "next to none";
  return `one in ${Math.round(1 / perMonth)} months`;
}
