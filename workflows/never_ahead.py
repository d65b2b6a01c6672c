"""No workflow goes on from where a question had it run ahead of its tasks.

A query that a worker answers by replaying comes with all history that there is, and the SDK's core has the workflow
take up also what no task has told yet. When that task comes, the worker goes on from there: what the task adds (an
update, a signal) is taken up after it. Whoever replays it is given all of the task at once, signals and updates first.
The commands came in two orders: NondeterminismError at every task from the next worker on, and the server stood still
for good. It took a worker that was killed, a question before the next one was there, and a request with the end of an
operation. Found by the crash matrix; tests/workflows/test_never_ahead.py.

Core does not say which it is. So whoever has taken up one task since its replay, and is asked by a query of its own
(not one that came with a task), fails the next task once: the worker forgets it and begins with a replay.
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


class NeverAhead(UnsandboxedWorkflowRunner):
    """For the sandbox's `runner_class`."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _NeverAhead(super().create_instance(det))


class _NeverAhead(WorkflowInstance):
    def __init__(self, instance: WorkflowInstance) -> None:
        self._instance = instance
        self._first = 0  # the length of history at the first activation that was no replay
        self._sound = False  # another came: tasks are taken up as they come
        self._doubtful = False

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        queries = [job.query_workflow for job in act.jobs if job.HasField("query_workflow")]
        if queries:
            asked = any(query.query_id == _LEGACY for query in queries)
            self._doubtful = self._doubtful or (asked and bool(self._first) and not self._sound)
        elif not any(job.HasField("remove_from_cache") for job in act.jobs):
            if self._doubtful:
                return _failed()
            if not act.is_replaying:
                self._sound = self._sound or self._first not in (0, act.history_length)
                self._first = self._first or act.history_length
        return self._instance.activate(act)

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
