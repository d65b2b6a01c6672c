/** Money as people read it. The API gives USD; prices per hour need more digits than sums. */

const MISSING = "—";

/** `$0.0421/h`: four digits behind the point, as spot prices have. */
export function hourly(usd: number | null | undefined): string {
  return usd === null || usd === undefined ? MISSING : `$${usd.toFixed(4)}/h`;
}

/** `$0.0421`, for columns whose head says "per hour". */
export function price(usd: number | null | undefined): string {
  return usd === null || usd === undefined ? MISSING : `$${usd.toFixed(4)}`;
}

/** A sum: cents, but not "$0.00" for what is not nothing; no cents from ten thousand. */
export function usd(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return MISSING;
  const size = Math.abs(amount);
  const sign = amount < 0 ? "−" : "";
  const digits = size >= 10_000 ? 0 : size > 0 && size < 0.1 ? 4 : 2;
  const text = size.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return `${sign}$${text}`;
}

/** A sum in a column: always cents, so that the points stand below each other. */
export function cents(amount: number): string {
  if (amount > 0 && amount < 0.005) return "<$0.01";
  const text = Math.abs(amount).toLocaleString("en-US", {
    minimumFractionDigits: 2,
    maximumFractionDigits: 2,
  });
  return `${amount <= -0.005 ? "−" : ""}$${text}`;
}

/** How much less than on-demand, as a part of it; null when it cannot be said. */
export function below(now: number | null | undefined, onDemand: number | null | undefined): number | null {
  if (now === null || now === undefined || !onDemand) return null;
  return 1 - now / onDemand;
}

export function percent(part: number | null | undefined, digits = 0): string {
  return part === null || part === undefined ? MISSING : `${(part * 100).toFixed(digits)}%`;
}

/** `62% below on-demand`, `at on-demand`, `4% above on-demand`. */
export function againstOnDemand(part: number | null): string {
  if (part === null) return "";
  const rounded = Math.round(part * 100);
  if (rounded === 0) return "at on-demand";
  return rounded > 0 ? `${rounded}% below on-demand` : `${-rounded}% above on-demand`;
}

/** `saves $0.0540/h`, `costs $0.0120/h more`. */
export function againstBefore(before: number, after: number): string {
  const less = before - after;
  if (!before || Math.abs(less) < 0.00005) return "";
  return less > 0 ? `saves ${hourly(less)}` : `costs ${hourly(-less)} more`;
}
