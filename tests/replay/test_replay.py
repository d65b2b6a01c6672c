"""Invariant 9: every recorded history replays."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import NondeterminismError

from tests.replay.broken import HastySwitchWorkflow
from tests.replay.paths import PATHS
from workflows.registry import WORKFLOWS
from workflows.switch import SwitchWorkflow

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def _replayer(workflows: list[type]) -> Replayer:
    restrictions = SandboxRestrictions.default.with_passthrough_modules("domain")
    return Replayer(workflows=workflows, workflow_runner=SandboxedWorkflowRunner(restrictions=restrictions))


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


def test_every_path_and_every_workflow_has_a_recording() -> None:
    assert {path.name.split(".")[0] for path in HISTORIES} == set(PATHS)
    recorded = {path: path.read_text() for path in HISTORIES}
    missing = [one.__name__ for one in WORKFLOWS if not any(f'"{one.__name__}"' in text for text in recorded.values())]
    assert missing == []


def test_no_recording_names_a_file_of_the_machine_it_was_made_on() -> None:
    assert [
        path.name for path in HISTORIES if '.py\\"' in path.read_text() or "site-packages" in path.read_text()
    ] == []
