"""Which workflow tasks are begun with another replay, by what the SDK's core hands over."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance

from workflows.never_ahead import NeverAhead

REPLAYED, TOLD, TOLD_MORE = (3, True), (9, False), (14, False)  # events of history, and whether it is replayed


class Takes:
    """A workflow that takes up everything."""

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        done = WorkflowActivationCompletion()
        done.successful.SetInParent()
        return done


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> WorkflowInstance:
    monkeypatch.setattr(UnsandboxedWorkflowRunner, "create_instance", lambda self, det: Takes())
    nothing: Any = None
    return NeverAhead().create_instance(nothing)


def heard(workflow: WorkflowInstance, task: tuple[int, bool], **job: Any) -> bool:
    """Whether it takes it up."""
    length, replaying = task
    act = WorkflowActivation(history_length=length, is_replaying=replaying)
    act.jobs.append(WorkflowActivationJob(**(job or {"fire_timer": {"seq": 1}})))
    return workflow.activate(act).HasField("successful")


def asked(workflow: WorkflowInstance, query_id: str = "legacy_query") -> bool:
    return heard(workflow, (9, True), query_workflow={"query_id": query_id})


def test_what_was_asked_after_its_first_task_begins_the_next_with_a_replay(workflow: WorkflowInstance) -> None:
    assert heard(workflow, REPLAYED)
    assert heard(workflow, TOLD)
    assert asked(workflow), "the query itself is answered"
    assert not heard(workflow, TOLD_MORE)
    assert asked(workflow)
    assert heard(workflow, TOLD_MORE, remove_from_cache={}), "the worker forgets it"


def test_a_query_that_came_with_a_task_was_not_ahead_of_it(workflow: WorkflowInstance) -> None:
    assert heard(workflow, TOLD)
    assert asked(workflow, "q-1")
    assert heard(workflow, TOLD_MORE)


def test_what_has_taken_up_tasks_as_they_came_may_be_asked(workflow: WorkflowInstance) -> None:
    assert heard(workflow, TOLD)
    assert heard(workflow, TOLD)  # of the same task
    assert heard(workflow, TOLD_MORE)
    assert asked(workflow)
    assert heard(workflow, (20, False))


def test_what_has_only_been_replayed_is_ahead_of_nothing(workflow: WorkflowInstance) -> None:
    assert heard(workflow, REPLAYED)
    assert asked(workflow)
    assert heard(workflow, TOLD)
