"""The activity calls of an operation: on the queue and with the priority that its urgency asks for."""

from __future__ import annotations

from typing import Protocol, TypeVar

from temporalio.common import Priority as TemporalPriority

from domain import ec2
from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE
from domain.operations import OperationInput
from workflows.activity_calls import execute, execute_on_host
from workflows.operations.receipt import ReceiptDraft
from workflows.operations.step_runner import StepRunner
from workflows.operations.urgency import Urgency, stop_if_cancelled
from workflows.timeouts import CALL, Limits, host

T = TypeVar("T")


class Ec2Result(Protocol):
    @property
    def calls(self) -> list[str]: ...
    @property
    def attempts(self) -> int: ...


R = TypeVar("R", bound=Ec2Result)

_READ_ONLY = frozenset(
    {
        ec2.INSPECT,
        ec2.SURVEY,
        ec2.RANK_POOLS,
        ec2.CHECK_LAUNCH,
        ec2.FIND_BY_TOKEN,
        ec2.CONFIRM_RUNNING,
        ec2.CONFIRM_TERMINATED,
        ec2.VOLUMES_OF,
        ec2.CONFIRM_SNAPSHOTS,
        ec2.CONFIRM_VOLUMES,
        ec2.CONFIRM_TARGETS,
        ec2.CONFIRM_DRAINED,
    }
)


class ActivityCalls:
    def __init__(self, start: OperationInput, urgency: Urgency, steps: StepRunner, receipt: ReceiptDraft) -> None:
        self._start = start
        self._urgency = urgency
        self._steps = steps
        self._receipt = receipt

    async def ec2(self, name: str, argument: object, answer: type[R], limits: Limits = CALL) -> R:
        """One EC2 activity; its calls are noted for the step and the receipt.

        A call that changes something is waited for even when the operation is aborted meanwhile: only
        then is it known what there is to undo, and none takes effect after its undo.
        """
        stop_if_cancelled()
        queue = EMERGENCY_QUEUE if self._urgency.emergency else CONTROL_QUEUE
        changes = name not in _READ_ONLY
        result = await execute(
            name, argument, answer, limits, queue=queue, priority=self._priority(), wait_when_cancelled=changes
        )
        self._steps.note_calls(result.calls, result.attempts)
        self._receipt.count_calls(len(result.calls) * result.attempts)
        return result

    async def host(
        self, instance_id: str, name: str, argument: object, answer: type[T], seconds: float, pickup_s: float = 15.0
    ) -> T:
        """One host activity on the agent's own queue: `seconds` to do it, `pickup_s` to be taken up."""
        stop_if_cancelled()
        limits = host(seconds, pickup_s=pickup_s)
        result = await execute_on_host(instance_id, name, argument, answer, limits, self._priority())
        self._steps.note_hooks(getattr(result, "hooks", []))  # an inventory names hooks; the others ran some
        return result

    def _priority(self) -> TemporalPriority:
        key = 1 if self._urgency.emergency else self._start.request.priority.temporal_key
        return TemporalPriority(priority_key=key, fairness_key=self._start.server.client_id[:64])
