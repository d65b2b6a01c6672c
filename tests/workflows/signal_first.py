"""Workers whose server hears a signal about an operation before it hears that its child workflow has started.

It comes so on a busy machine, and of what commits at once more often; here always: the server's task fails until it
holds the signal too, and is tried again. In one task signals are handed over first.
"""

from __future__ import annotations

from typing import Any

from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import (
    HandleSignalInput,
    Interceptor,
    StartChildWorkflowInput,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from tests.workflows.workers import worker_of


class _Outbound(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, heard: set[str]) -> None:
        super().__init__(next)
        self._heard = heard

    async def start_child_workflow(self, input: StartChildWorkflowInput) -> workflow.ChildWorkflowHandle[Any, Any]:
        handle = await super().start_child_workflow(input)
        if SignalFirst.awaited and SignalFirst.awaited not in self._heard:
            raise RuntimeError("the signal is not there yet: this task is tried again")
        return handle


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        self._heard: set[str] = set()
        super().init(_Outbound(outbound, self._heard))

    async def handle_signal(self, input: HandleSignalInput) -> None:
        self._heard.add(input.signal)
        await super().handle_signal(input)


class SignalFirst(Interceptor):
    awaited = ""  # the signal without which no child workflow has started: each test's own

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        return _Inbound


def hearing_signals_first(client: Client, task_queue: str, activities: Any, slots: int) -> Worker:
    return worker_of(client, task_queue, activities, slots, interceptors=[SignalFirst()])
