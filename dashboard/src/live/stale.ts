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
  if (type.startsWith("operation.")) stale.push(keys.operations, keys.summary);
  if (ENDS.test(type)) {
    if (event.operation_id) stale.push(keys.operation(event.operation_id));
    stale.push(keys.savings);
  }
  if (type.startsWith("server.") || type === "agent.registered") stale.push(keys.summary);
  if (type.startsWith("decision.")) stale.push(keys.decisions, keys.summary);
  if (type.startsWith("notice.") || type.startsWith("pool.")) stale.push(keys.market);
  if (type.startsWith("token.")) stale.push(keys.tokens);
  if (type.startsWith("webhook.")) stale.push(keys.webhooks);
  if (type === "client.policy") stale.push(keys.client);
  return stale;
}

/** What an event leaves open of the server's row: price, risk, agent, and what needs a person. */
export function changesRow(event: StreamEvent): boolean {
  const { type } = event;
  return ENDS.test(type) || /^(server|agent|decision|instance)\./.test(type);
}
