/** Documents of calls that are being built; each goes to types.ts once the OpenAPI document has it. */

export interface Money {
  cost_usd: number;
  primary_usd: number;
  replica_usd: number;
  overlap_usd: number;
  snapshot_usd: number;
  on_demand_usd: number;
  saved_usd: number;
}
export type PeriodSavings = Money & { start: string };
export type ServerSavings = Money & { server_id: string; name: string };
export interface SavingsView {
  items: PeriodSavings[];
  total: Money;
  accrued_until: string | null;
}
export interface ServersSavingsView {
  items: ServerSavings[];
  total: Money;
}
export interface SummaryView {
  servers: number;
  agents_online: number;
  saved: { hour: Money; day: Money; month: Money };
  switches: number;
  switch_success_rate: number | null;
  failovers: number;
  outage_minutes: number;
  operations_in_progress: number;
  needs_attention: number;
  decisions_waiting: number;
}
export interface WebhookView {
  id: string;
  url: string;
  label: string;
  kinds: string[];
  state: "active" | "paused" | "disabled";
  why: string;
}
export interface DeliveryView {
  id: string;
  type: string;
  state: string;
  attempts: number;
  response_code: number | null;
  duration_ms: number | null;
  error: string;
  created_at: string;
}
