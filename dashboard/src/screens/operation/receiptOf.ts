import type { Operation } from "../../api/types";

export interface Change {
  attribute: string;
  before: string;
  after: string;
  /** Why it may differ; empty: unexplained. */
  reason: string;
}

/** domain.operations.Receipt, as far as it is shown. */
export interface ReceiptView {
  control_outage_ms: number | null;
  calls: number;
  hourly_before: number;
  hourly_after: number;
  tried_pools: string[];
  changes: Change[];
  unexplained_changes: number;
}

export function receiptOf(operation: Operation): ReceiptView | null {
  if (!operation.receipt) return null;
  const given = operation.receipt as Partial<ReceiptView>;
  return {
    control_outage_ms: given.control_outage_ms ?? null,
    calls: given.calls ?? 0,
    hourly_before: given.hourly_before ?? 0,
    hourly_after: given.hourly_after ?? 0,
    tried_pools: given.tried_pools ?? [],
    changes: given.changes ?? [],
    unexplained_changes: given.unexplained_changes ?? 0,
  };
}
