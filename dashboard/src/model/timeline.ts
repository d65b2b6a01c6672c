/** A server's life as bars over time: which instance was what, when, and where; notices and outages beside it. */
export interface Stay {
  instanceId: string;
  role: "primary" | "replica" | "other";
  pool: string;
  from: number;
  /** null: still so. */
  to: number | null;
}

export interface Mark {
  at: number;
  kind: "interruption" | "rebalance";
  text: string;
}

export interface Outage {
  from: number;
  to: number;
  operationId: string;
}

export interface Life {
  stays: Stay[];
  marks: Mark[];
  outages: Outage[];
}

export interface Span {
  from: number;
  to: number;
}

/** Where in the span an instant is, 0 to 1; what lies outside is cut. */
export function place(span: Span, at: number): number {
  return Math.min(1, Math.max(0, (at - span.from) / Math.max(1, span.to - span.from)));
}

/** The stays that are seen in the span, one lane for each instance, latest first. */
export function lanes(stays: Stay[], span: Span): Stay[][] {
  const seen = stays.filter((stay) => (stay.to ?? span.to) >= span.from && stay.from <= span.to);
  const byInstance = new Map<string, Stay[]>();
  for (const stay of seen)
    byInstance.set(stay.instanceId, [...(byInstance.get(stay.instanceId) ?? []), stay]);
  const lastOf = (lane: Stay[]) => Math.max(...lane.map((stay) => stay.from));
  return [...byInstance.values()].toSorted((one, other) => lastOf(other) - lastOf(one));
}

const STEPS_MS = [
  10_000, 30_000, 60_000, 300_000, 900_000, 1_800_000, 3_600_000, 10_800_000, 21_600_000, 43_200_000,
  86_400_000, 172_800_000, 604_800_000, 1_209_600_000, 2_592_000_000,
];

/** Round instants for the axis, at most `most` of them. */
export function ticks(span: Span, most: number): number[] {
  const length = span.to - span.from;
  const step = STEPS_MS.find((one) => length / one <= most) ?? length;
  const offset = new Date(span.to).getTimezoneOffset() * 60_000;
  const first = Math.ceil((span.from - offset) / step) * step + offset;
  const found: number[] = [];
  for (let at = first; at <= span.to; at += step) found.push(at);
  return found;
}
