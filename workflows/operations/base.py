"""What every operation has. Its parts are modules of their own: steps, calls, capacity, urgency, undo, receipt, shape.

This module holds them together: what a notice means for the operation, the commit, and its end.
"""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

from domain.host import Notice
from domain.names import ownership_tags, server_workflow_id
from domain.operations import SIGNAL_COMMITTED, CommitReport, OperationInput, OperationResult, Outcome
from domain.records import RecordKind
from domain.servers import ServerShape
from workflows.operations.calls import ActivityCalls
from workflows.operations.capacity_log import CapacityLog
from workflows.operations.receipt import ReceiptDraft
from workflows.operations.shape import ShapeDraft
from workflows.operations.step_runner import StepRunner
from workflows.operations.undo import UndoStack
from workflows.operations.urgency import Urgency
from workflows.recorder import Recorder


class Operation:
    def __init__(self, start: OperationInput) -> None:
        self.start = start
        self.server = start.server
        self.policy = start.policy
        self.recorder = Recorder(
            f"operation/{start.operation_id}",
            start.server,
            operation_id=start.operation_id,
            after=start.after_operation,
        )
        self.undo = UndoStack()
        self.urgency = Urgency()
        self.capacity = CapacityLog(start.shape.cool_downs)
        self.shape_draft = ShapeDraft(start.shape)
        self._steps = StepRunner(self.recorder, self.urgency)
        self._receipt = ReceiptDraft(start)
        self._calls = ActivityCalls(start, self.urgency, self._steps, self._receipt)
        self._attention = ""
        # What a workflow says most often, by its short name.
        self.step, self.note = self._steps.run, self._steps.note
        self.ec2, self.host = self._calls.ec2, self._calls.host
        self.describe = self._receipt.describe

    @property
    def shape(self) -> ServerShape:
        return self.shape_draft.now

    @property
    def emergency(self) -> bool:
        return self.urgency.emergency

    @property
    def doomed(self) -> bool:
        """The old instance is going away, whatever we do."""
        return self.urgency.doomed

    @property
    def committed(self) -> bool:
        return self.urgency.committed

    @property
    def tags(self) -> dict[str, str]:
        return ownership_tags(self.server.client_id, self.server.server_id, self.start.operation_id)

    def take_notice(self, notice: Notice) -> None:
        """The replacement is doomed: stop. The old instance is: this operation is its rescue."""
        if self.committed:
            return  # the server looks at what serves now
        if self.capacity.is_replacement(notice.instance_id):
            self.urgency.abort_by_notice(f"replacement {notice.instance_id} got an interruption notice")
        elif self.shape.primary and self.shape.primary.instance_id == notice.instance_id:
            self.urgency.begin_emergency()
            self.urgency.doom_old(notice.deadline)

    async def await_ledger(self) -> None:
        """Wait until the ledger has what is about to be made; an emergency does not wait."""
        await self.recorder.flush(unless=lambda: self.urgency.emergency or self.urgency.aborted)

    async def commit(self, shape: ServerShape) -> None:
        """From here the operation only goes forward. The server hears of it before anything is retired."""
        self.urgency.commit()
        self.undo.clear()
        self.shape_draft.commit(replace(shape, cool_downs=self.capacity.cool_downs))
        server = workflow.get_external_workflow_handle(server_workflow_id(self.server.server_id))
        await server.signal(SIGNAL_COMMITTED, CommitReport(self.start.operation_id, self.shape))

    # --- its end

    @property
    def attention(self) -> str:
        """Why a person should look; empty when nobody has to."""
        return self._attention

    def needs_attention(self, reason: str) -> None:
        """Say that a person should look; the operation itself goes on where it can."""
        self._attention = reason
        self.recorder.add(RecordKind.OPERATION_ATTENTION, reason=reason)

    def clear_attention(self) -> None:
        """The problem was solved, so nobody has to look any more."""
        self._attention = ""

    def finish(self, outcome: Outcome, reason: str, *, ended: bool = False) -> OperationResult:
        receipt = self._receipt.finish(outcome, reason, self._steps.reports, self.capacity.refusals)
        shape = self.shape if self.committed else self._shape_undone(outcome)
        if shape.replica and self.capacity.has_ended(shape.replica.instance_id):
            shape = replace(shape, replica=None)
        return OperationResult(outcome, replace(shape, cool_downs=self.capacity.cool_downs), receipt, ended)

    def _shape_undone(self, outcome: Outcome) -> ServerShape:
        """To an instance that is lost nothing goes back, and where the undo failed something may not be back."""
        primary = self.start.shape.primary
        lost = self.doomed or (primary is not None and self.capacity.has_ended(primary.instance_id))
        return self.shape_draft.undone(primary_keeps_all=not lost and outcome is not Outcome.NEEDS_ATTENTION)
