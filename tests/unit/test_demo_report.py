"""The report has exactly the shape that was agreed, and counts what clients saw in an operation's window."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proof.demo.report import Invariants, Report, operation_report
from proof.harness.api_client import as_operation, epoch
from proof.harness.market import choose_market
from proof.harness.observer import Writes
from proof.harness.outage import Sample
from proof.harness.waiting import ScenarioFailed

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


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        epoch("2026-01-01T00:00:10")


def pool(zone: str, kind: str, spot: float | None, demand: float | None = 0.1) -> dict[str, object]:
    return {"zone": zone, "instance_type": kind, "spot_price": spot, "on_demand_price": demand}


def test_the_demo_plays_where_most_types_are_sold_below_the_first_ones_price() -> None:
    kinds = ("m5.large", "m5a.large", "c5.xlarge")
    market = [pool(zone, kind, 0.03) for zone in ("z-b", "z-c") for kind in kinds]
    market += [pool("z-a", "m5.large", 0.03), pool("z-b", "r5.large", 0.2), pool("z-b", "x1.32xlarge", 0.01)]
    market_choice = choose_market(market)
    assert (market_choice.home, market_choice.kind) == ("z-b", "m5.large")
    assert set(market_choice.types) == set(kinds)
    assert (market_choice.zones, market_choice.other_zones) == (["z-b", "z-c"], ["z-c"])


@pytest.mark.parametrize("market", [[], [pool("z-a", kind, 0.03) for kind in ("m5.large", "m5a.large", "c5.xlarge")]])
def test_a_market_with_too_little_in_it_is_refused_in_words(market: list[dict[str, object]]) -> None:
    with pytest.raises(ScenarioFailed, match="ive another PRICES file"):
        choose_market(market)
