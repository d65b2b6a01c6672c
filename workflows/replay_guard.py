"""No workflow goes on from where a question had it run ahead of its tasks.

A query that a worker answers by replaying comes with all history that there is, and the SDK's core has the workflow
take up also what no task has told yet. When that task comes, the worker goes on from there: what the task adds (an
update, a signal) is taken up after it. Whoever replays it is given all of the task at once, signals and updates first.
The commands came in two orders: NondeterminismError at every task from the next worker on, and the server stood still
for good. It took a worker that was killed, a question before the next one was there, and a request with the end of an
operation. Found by the crash matrix; tests/workflows/test_replay_guard.py.

Core does not say which it is, but every task has a time of its own: more of history with the time of the last task is
a look ahead. It can also have the time of a task that a killed worker took and never answered: so whoever has been
replayed, has taken up one task since, and is asked by a query of its own (not one that came with a task) may be ahead
too. Whoever may be fails the next task once: the worker forgets it and begins with a replay. A further look ahead is
no task, and is taken up: the query's answer would fail with it (a workflow that has ended gets no more tasks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance, WorkflowInstanceDetails

if TYPE_CHECKING:
    from temporalio.bridge.proto.workflow_activation import WorkflowActivation
    from temporalio.workflow import Info

_LEGACY = "legacy_query"  # core's ID of a query that came by itself
_WHY = "a query was answered since the replay, perhaps ahead of this task: it is taken up anew, after another replay"

_Time = tuple[int, int]  # seconds since 1970, and nanoseconds of that second


class ReplayGuardRunner(UnsandboxedWorkflowRunner):
    """For the sandbox's `runner_class`."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _ReplayGuard(super().create_instance(det))


class _ReplayGuard(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance
        self._told: _Time | None = None  # the time of the last task taken up
        self._length = 0  # of history then, in events
        self._first: _Time | None = None  # the time of the first that was no replay
        self._sound = False  # what comes with times of their own comes as tasks
        self._ahead = False  # perhaps

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        queries = [job.query_workflow for job in act.jobs if job.HasField("query_workflow")]
        if queries:
            asked = any(query.query_id == _LEGACY for query in queries)
            self._ahead = self._ahead or (asked and self._first is not None and not self._sound)
        elif not any(job.HasField("remove_from_cache") for job in act.jobs):
            told = (act.timestamp.seconds, act.timestamp.nanos)
            if self._ahead and told != self._told:
                return _failed()
            self._take(act, told)
        return self._instance.activate(act)

    def _take(self, act: WorkflowActivation, told: _Time) -> None:
        self._ahead = self._ahead or (told == self._told and act.history_length > self._length)
        self._told, self._length = told, act.history_length
        if not act.is_replaying:
            begun = any(job.HasField("initialize_workflow") for job in act.jobs)
            self._sound = self._sound or begun or self._first not in (None, told)
            self._first = self._first or told

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
