"""Invariant 9: every recorded history replays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import MethodType

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from tests.replay.incompatible_changes import HastySwitchWorkflow, later
from tests.replay.record import PATHS
from workflows.operations.base import Operation
from workflows.operations.switch import SwitchWorkflow
from workflows.operations.undo import UndoStack
from workflows.recorder import Recorder
from workflows.registry import WORKFLOWS
from workflows.replay_guard import ReplayGuardRunner
from workflows.server.operation_queue import RunningOperation

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def _replayer(workflows: list[type], *passed: str) -> Replayer:
    """In debug mode: there is no limit of 2 s for a step of a workflow, which a busy machine exceeds."""
    restrictions = SandboxRestrictions.default.with_passthrough_modules("domain", *passed)
    runner = SandboxedWorkflowRunner(restrictions, ReplayGuardRunner)
    return Replayer(workflows=workflows, workflow_runner=runner, debug_mode=True)


def _history(recording: Path) -> WorkflowHistory:
    recorded = json.loads(recording.read_text())
    return WorkflowHistory.from_json(recorded.pop("workflow_id"), recorded)


async def test_every_recorded_history_replays() -> None:
    names: dict[str, str] = {}

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for recording in HISTORIES:
            history = _history(recording)
            names[history.run_id] = recording.stem
            yield history

    results = await _replayer(WORKFLOWS).replay_workflows(histories(), raise_on_replay_failure=False)
    assert {names[run]: str(why) for run, why in results.replay_failures.items()} == {}


@pytest.mark.parametrize("name", ["switch-volumes", "switch-snapshot"])
async def test_a_change_that_would_break_running_operations_is_noticed(name: str) -> None:
    workflows = [HastySwitchWorkflow if one is SwitchWorkflow else one for one in WORKFLOWS]
    recording = next(path for path in HISTORIES if path.name == f"{name}.operation.json")
    with pytest.raises(NondeterminismError):
        await _replayer(workflows).replay_workflow(_history(recording))


# Without a commit of their own, or without anything to undo.
_NOT_COMMITTED = (
    "switch-rolled-back",
    "switch-cancelled",
    "switch-replacement-doomed",
    "switch-snapshot-rolled-back",
    "decision-dropped",
)
_UNDONE = (*_NOT_COMMITTED, "failover-second-round")


@pytest.mark.parametrize(
    ("owner", "method", "kind", "broken"),
    [
        (Operation, "commit", "operation", lambda path: path not in _NOT_COMMITTED),
        (UndoStack, "unwind", "operation", lambda path: path in _UNDONE),
        (Recorder, "flush", "operation", lambda path: True),
        (RunningOperation, "start", "server", lambda path: True),
    ],
    ids=["commit", "undo", "records", "start"],
)
async def test_each_recording_notices_a_change_in_what_it_has_recorded(
    monkeypatch: pytest.MonkeyPatch, owner: type, method: str, kind: str, broken: Callable[[str], bool]
) -> None:
    """A command more, before the commit, the undo, the last records, the start of a child."""
    whole = getattr(owner, method)
    changed = later(whole)
    monkeypatch.setattr(owner, method, staticmethod(changed) if isinstance(whole, MethodType) else changed)
    names: dict[str, str] = {}

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for recording in HISTORIES:
            if recording.name.endswith(f".{kind}.json"):
                history = _history(recording)
                names[history.run_id] = recording.name.split(".")[0]
                yield history

    replayer = _replayer(WORKFLOWS, "workflows", "tests.replay.incompatible_changes")
    results = await replayer.replay_workflows(histories(), raise_on_replay_failure=False)
    noticed = {names[run] for run in results.replay_failures}
    assert noticed == {path for path in names.values() if broken(path)}


def test_every_path_and_every_workflow_has_a_recording() -> None:
    assert {path.name.split(".")[0] for path in HISTORIES} == set(PATHS)
    recorded = {path: path.read_text() for path in HISTORIES}
    missing = [one.__name__ for one in WORKFLOWS if not any(f'"{one.__name__}"' in text for text in recorded.values())]
    assert missing == []


def test_no_recording_names_a_file_of_the_machine_it_was_made_on() -> None:
    assert [
        path.name for path in HISTORIES if '.py\\"' in path.read_text() or "site-packages" in path.read_text()
    ] == []
