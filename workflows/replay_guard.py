"""A worker that may have run a workflow ahead of its tasks replays it before it goes on.

A worker may answer a query by replaying the workflow with the history that the query brings. That history can be
longer than what workflow tasks have delivered so far, and the SDK's core lets the workflow process all of it. When
the next task comes, the workflow processes only what is left of it: an update or a signal of that task comes last. A
later replay processes the same task as a whole, with signals and updates first. The commands then differ in their
order. The next worker gets a NondeterminismError at every task, and the server stands still for good. It takes a
worker that was killed, a query before the next worker is there, and a request that comes together with the end of an
operation: tests/workflows/test_replay_guard.py.

Core does not say that a workflow ran ahead, so the guard concludes it, and in doubt assumes it:

- Every task has a time of its own. More history with the time of the last task means that the workflow ran ahead.
- History that a query brings can also have the time of a task that a killed worker took and never answered. So a
  workflow that was replayed, has processed one task since, and answers a query that came by itself may be ahead too.

A workflow that may be ahead fails its next task once: the worker forgets it, and begins again with a replay. More
history without a new task is processed, and does not fail: the query's answer would fail with it, and a workflow that
has ended gets no more tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

if TYPE_CHECKING:
    from temporalio.bridge.proto.workflow_activation import WorkflowActivation
    from temporalio.workflow import Info

_LEGACY = "legacy_query"  # core's ID of a query that came by itself
_WHY = "a query may have run this workflow ahead of its tasks: the worker replays it before it goes on"

_Time = tuple[int, int]  # seconds since 1970, and nanoseconds of that second


class ReplayGuardRunner(UnsandboxedWorkflowRunner):
    """For the sandbox's `runner_class`."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ReplayGuard(super().create_instance(det))


class _ReplayGuard(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance
        self._last: _Time | None = None  # the time of the last task that was processed
        self._length = 0  # of history then, in events
        self._first: _Time | None = None  # the time of the first task that was no replay
        self._sound = False  # every time since the replay was that of a task
        self._ahead = False  # the workflow may have run ahead of its tasks

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        queries = [job.query_workflow for job in act.jobs if job.HasField("query_workflow")]
        if queries:
            asked = any(query.query_id == _LEGACY for query in queries)
            self._ahead = self._ahead or (asked and self._first is not None and not self._sound)
        elif not any(job.HasField("remove_from_cache") for job in act.jobs):
            time = (act.timestamp.seconds, act.timestamp.nanos)
            if self._ahead and time != self._last:
                return _failed()
            self._take(act, time)
        return self._instance.activate(act)

    def _take(self, act: WorkflowActivation, time: _Time) -> None:
        self._ahead = self._ahead or (time == self._last and act.history_length > self._length)
        self._last, self._length = time, act.history_length
        if not act.is_replaying:
            begun = any(job.HasField("initialize_workflow") for job in act.jobs)
            self._sound = self._sound or begun or self._first not in (None, time)
            self._first = self._first or time

    def get_serialization_context(self, command_info: Any) -> Any:
        return self._instance.get_serialization_context(command_info)

    def get_external_store_context(self, command_info: Any) -> Any:
        return self._instance.get_external_store_context(command_info)

    def get_info(self) -> Info:
        return self._instance.get_info()

    def get_thread_id(self) -> int | None:
        return self._instance.get_thread_id()


def _failed() -> WorkflowActivationCompletion:
    done = WorkflowActivationCompletion()
    done.failed.failure.message = _WHY
    done.failed.failure.application_failure_info.SetInParent()
    return done
