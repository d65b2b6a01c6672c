"""Changes whose authors forgot that operations are under way: one asks the new host before the old one, and so on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import workflow

from domain.operations import OperationInput, OperationResult
from workflows.handoffs.base import HandoffWork
from workflows.operations.capacity_log import Replacement
from workflows.operations.outcome import run_to_outcome
from workflows.operations.planning import PlanningResult
from workflows.operations.replacement_instances import await_ready
from workflows.operations.switch import SwitchWorkflow


@workflow.defn(name="SwitchWorkflow")
class HastySwitchWorkflow(SwitchWorkflow):
    @workflow.init
    def __init__(self, start: OperationInput) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: OperationInput) -> OperationResult:
        return await run_to_outcome(self.op, self.switch)

    async def prepare(self, planned: PlanningResult, replacement: Replacement) -> HandoffWork:
        await await_ready(self.op, replacement, check_health=False)
        return await super().prepare(planned, replacement)


def later(work: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The same a moment later: a command more, right before it."""

    async def run(*given: Any, **named: Any) -> Any:
        await workflow.sleep(0.001)
        return await work(*given, **named)

    return run
