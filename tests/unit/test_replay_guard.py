"""Which workflow tasks are begun with another replay, by what the SDK's core hands over."""

from __future__ import annotations

from typing import Any

import pytest
from temporalio.bridge.proto.workflow_activation import WorkflowActivation, WorkflowActivationJob
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.worker import UnsandboxedWorkflowRunner, WorkflowInstance

from workflows.replay_guard import ReplayGuardRunner

REPLAYED, TOLD, TOLD_MORE = (3, True), (9, False), (14, False)  # when the task began, and whether it is replayed


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
    return ReplayGuardRunner().create_instance(nothing)


def heard(workflow: WorkflowInstance, task: tuple[int, bool], events: int = 0, **job: Any) -> bool:
    """Whether it takes it up. `events`: the length of history."""
    began, replaying = task
    act = WorkflowActivation(is_replaying=replaying, history_length=events or began)
    act.timestamp.FromSeconds(began)
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


def test_what_began_here_may_be_asked_at_once(workflow: WorkflowInstance) -> None:
    assert heard(workflow, TOLD, initialize_workflow={})
    assert asked(workflow)
    assert heard(workflow, TOLD_MORE)


def test_what_a_query_had_it_hear_after_the_last_task_is_known_by_its_time(workflow: WorkflowInstance) -> None:
    assert heard(workflow, TOLD, initialize_workflow={})
    assert heard(workflow, TOLD, events=12)
    assert asked(workflow)
    assert heard(workflow, TOLD, events=13), "a further look ahead: its answer would fail with it"
    assert asked(workflow)
    assert not heard(workflow, TOLD_MORE)


def test_what_has_only_been_replayed_is_ahead_of_nothing(workflow: WorkflowInstance) -> None:
    assert heard(workflow, REPLAYED)
    assert asked(workflow)
    assert heard(workflow, TOLD)
