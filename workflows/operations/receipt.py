"""The receipt of an operation, while it is being written."""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from domain.operations import AttributeChange, OperationInput, Outcome, Receipt, StepReport


class ReceiptDraft:
    def __init__(self, start: OperationInput) -> None:
        self._requested_at = start.requested_at
        self._receipt = Receipt(start.operation_id, start.request.kind, Outcome.ROLLED_BACK)

    def describe(
        self,
        *,
        handoff: str | None = None,
        from_pool: str | None = None,
        to_pool: str | None = None,
        hourly_before: float | None = None,
        hourly_after: float | None = None,
        control_outage_ms: int | None = None,
        changes: list[AttributeChange] | None = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self" and value is not None}
        self._receipt = replace(self._receipt, **given)

    def count_calls(self, number: int) -> None:
        self._receipt = replace(self._receipt, calls=self._receipt.calls + number)

    def finish(self, outcome: Outcome, reason: str, steps: list[StepReport], refusals: list[str]) -> Receipt:
        return replace(
            self._receipt,
            outcome=outcome,
            reason=reason,
            requested_at=self._requested_at,
            finished_at=workflow.now(),
            steps=steps,
            unexplained_changes=sum(1 for change in self._receipt.changes if not change.reason),
            tried_pools=refusals,
        )
