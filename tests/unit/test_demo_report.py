"""The report has exactly the shape that was agreed, and counts what clients saw in an operation's window."""

from __future__ import annotations

import json
from pathlib import Path

from proof.demo.report import Invariants, Report, operation_report
from proof.harness.api_client import as_operation, epoch
from proof.harness.observer import Writes
from proof.harness.outage import Sample

ROW = {
    "id": "op-1",
    "workflow_id": "operation/op-1",
    "server_id": "srv-1",
    "kind": "switch",
    "status": "committed",
    "handoff": "snapshot",
    "from_pool": "us-east-1a/m5.large/on-demand",
    "to_pool": "us-east-1b/m5.large/spot",
    "reason": "",
    "requested_at": "2026-01-01T00:00:10Z",
    "finished_at": "2026-01-01T00:00:20Z",
    "steps": [
        {"name": "plan", "started_at": "2026-01-01T00:00:10Z", "ms": 120},
        {"name": "commit", "started_at": "2026-01-01T00:00:19Z", "ms": None},
    ],
    "receipt": {
        "handoff": "volumes",
        "unexplained_changes": 0,
        "calls": 42,
        "hourly_before": 0.096,
        "hourly_after": 0.03,
    },
}
START = epoch("2026-01-01T00:00:10Z")


def test_the_report_has_the_agreed_shape(tmp_path: Path) -> None:
    row = operation_report(as_operation(ROW), "orders", [], Writes())
    Report([row], Invariants(one_primary=True)).write(tmp_path / "demo" / "report.json")
    found = json.loads((tmp_path / "demo" / "report.json").read_text())
    assert set(found) == {"operations", "invariants", "aws"}
    assert found["aws"] == "lab, profile fast"
    assert found["invariants"] == {
        "one_primary": True,
        "writes_lost": 0,
        "orphans": [],
        "duplicates": 0,
        "events_missed": 0,
    }
    [operation] = found["operations"]
    assert operation == {
        "id": "op-1",
        "workflow_id": "operation/op-1",
        "server": "orders",
        "kind": "switch",
        "handoff": "volumes",
        "from_pool": "us-east-1a/m5.large/on-demand",
        "to_pool": "us-east-1b/m5.large/spot",
        "outcome": "committed",
        "requested_at": "2026-01-01T00:00:10+00:00",
        "finished_at": "2026-01-01T00:00:20+00:00",
        "outage_ms": 0,
        "steps": [
            {"name": "plan", "started_at": "2026-01-01T00:00:10Z", "ms": 120},
            {"name": "commit", "started_at": "2026-01-01T00:00:19Z", "ms": 0},
        ],
        "writes_acknowledged": 0,
        "writes_lost": 0,
        "unexplained_changes": 0,
        "calls": 42,
        "hourly_before": 0.096,
        "hourly_after": 0.03,
    }


def test_writes_and_outage_are_those_of_the_operations_window() -> None:
    samples = [
        Sample(START + 4, START + 4, True),
        Sample(START + 5, START + 5.1, False),
        Sample(START + 6, START + 6, True),
    ]
    writes = Writes([START - 1, START, START + 10.9, START + 11.1], [START + 10.9, START + 50])
    row = operation_report(as_operation(ROW), "orders", [samples], writes)
    assert (row.outage_ms, row.writes_acknowledged, row.writes_lost) == (2000, 2, 1)


def test_an_operation_that_never_finished_has_no_outcome() -> None:
    row = operation_report(
        as_operation({**ROW, "status": "running", "finished_at": None, "receipt": None}), "orders", [], Writes()
    )
    assert (row.outcome, row.finished_at, row.calls, row.handoff) == ("", None, 0, "snapshot")
