"""Workers whose server hears a signal about an operation before it hears that its child workflow has started.

It comes so on a busy machine, and of what commits at once more often; here always: the server's task fails until the
signal has been sent, and is tried again with it. In one task signals are handed over first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import (
    Interceptor,
    StartChildWorkflowInput,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from workflows.registry import WORKFLOWS


class _Outbound(WorkflowOutboundInterceptor):
    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        handle = await super().start_child_workflow(input)
        if not SignalFirst.said():
            raise RuntimeError("the signal is not there yet: this task is tried again")
        return handle


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))


class SignalFirst(Interceptor):
    said: Callable[[], bool] = staticmethod(lambda: True)  # whether the signal has been sent: each test's own

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _Inbound


def hearing_signals_first(client: Client, task_queue: str, activities: Any, slots: int) -> Worker:
    return Worker(
        client,
        task_queue=task_queue,
        workflows=WORKFLOWS,
        activities=activities,
        max_concurrent_activities=slots,
        workflow_runner=UnsandboxedWorkflowRunner(),
        interceptors=[SignalFirst()],
    )
