"""Record the histories that the replay tests replay: `python -m tests.replay.record [path ...]`.

A recording stands for the operations that run while the control plane is upgraded: one that no longer replays means
that they would break. Before the first release nobody has such operations, so a change may make the recordings anew.
From then on, only a path that no released version has run is recorded: docs/operations.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError

from domain.names import operation_workflow_id, server_workflow_id
from lab.stack.ports import Leases
from lab.stack.temporal import TemporalServer
from tests.replay.operation_paths import OPERATION_PATHS
from tests.replay.path_run import PathRun
from tests.replay.scheduled_paths import SCHEDULED_PATHS
from tests.workflows.fake_cloud import FakeActivities
from tests.workflows.signal_first import hearing_signals_first
from tests.workflows.workers import with_workers

PATHS = {**OPERATION_PATHS, **SCHEDULED_PATHS}
HISTORIES = Path(__file__).parent / "histories"
# They name files of the machine that records.
_PRIVATE = frozenset({"stackTrace", "encodedAttributes"})
# What goes out is not compared when a history is replayed, and it is most of a recording.
_SENT = {
    "activityTaskScheduledEventAttributes": "input",
    "startChildWorkflowExecutionInitiatedEventAttributes": "input",
    "workflowExecutionCompletedEventAttributes": "result",
    "signalExternalWorkflowExecutionInitiatedEventAttributes": "input",
}


async def record(names: list[str], address: str) -> None:
    fakes = FakeActivities()
    async with with_workers(address, fakes, identity="recorder", make=hearing_signals_first) as client:
        for name in names:
            played = await PATHS[name](PathRun(client, fakes, name))
            for workflow_id in played:
                await _save(client, name, workflow_id)
            await _end(client, fakes, name)


async def _save(client: Client, name: str, workflow_id: str) -> None:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    kind = workflow_id.split("/")[0]
    target = HISTORIES / f"{name}.{kind}.json"
    events = _without_private(json.loads(history.to_json()))
    for event in events["events"]:
        for attributes, sent in _SENT.items():
            event.get(attributes, {}).pop(sent, None)
    target.write_text(json.dumps({"workflow_id": workflow_id, **events}, separators=(",", ":")) + "\n")


async def _end(client: Client, fakes: FakeActivities, name: str) -> None:
    """Nothing of one path runs on into the next."""
    operations = [operation_workflow_id(one) for one in fakes.cloud.records.accepted]
    for workflow_id in (server_workflow_id(f"srv-{name}"), *operations):
        with suppress(RPCError):
            await client.get_workflow_handle(workflow_id).terminate()


def _without_private(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_private(item) for key, item in value.items() if key not in _PRIVATE}
    return [_without_private(item) for item in value] if isinstance(value, list) else value


def main(names: list[str]) -> None:
    unknown = set(names) - set(PATHS)
    if unknown:
        raise SystemExit(f"no such path: {', '.join(sorted(unknown))}; there are {', '.join(PATHS)}")
    HISTORIES.mkdir(exist_ok=True)
    with Leases() as leases, tempfile.TemporaryDirectory() as folder:
        server = TemporalServer(port=leases.port(), http=leases.port(), log=Path(folder) / "temporal.log")
        process = server.process()
        process.start()
        try:
            process.wait_ready()
            asyncio.run(record(names or list(PATHS), server.address))
        finally:
            process.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
