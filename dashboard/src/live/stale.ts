/** What has to be loaded again after an event, beside what the event itself says. */
import { keys } from "../api/keys";
import type { StreamEvent } from "../api/types";

type Key = readonly unknown[];

const ENDS = /^operation\.(committed|rolled_back|cancelled|needs_attention)$/;

export function staleAfter(event: StreamEvent): Key[] {
  const { type } = event;
  if (type === "operation.step" || type.startsWith("resource.")) return [];
  const stale: Key[] = [];
  if (event.server_id) stale.push(keys.server(event.server_id));
  if (type.startsWith("operation.") && event.server_id) stale.push(keys.operationsOf(event.server_id));
  if (ENDS.test(type)) {
    if (event.operation_id) stale.push(keys.operation(event.operation_id));
    if (event.server_id) stale.push(keys.candidates(event.server_id));
  }
  if (type.startsWith("decision.")) stale.push(keys.decisions);
  if (type.startsWith("token.")) stale.push(keys.tokens);
  if (type.startsWith("webhook.")) stale.push(keys.webhooks);
  if (type === "client.policy") stale.push(keys.client);
  return stale;
}

/** Figures over the whole fleet or market. */
export function staleSums(event: StreamEvent): Key[] {
  const { type } = event;
  if (ENDS.test(type)) return [keys.summary, keys.savings];
  if (/^(server|agent|decision)\./.test(type)) return [keys.summary];
  return /^(notice|pool)\./.test(type) ? [keys.market] : [];
}

/** What an event leaves open of the server's row: price, risk, agent, and what needs a person. */
export function changesRow(event: StreamEvent): boolean {
  const { type } = event;
  return ENDS.test(type) || /^(server|agent|decision|instance)\./.test(type);
}
