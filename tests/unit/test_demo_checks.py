"""Every check holds for a demo that went well, and fails for the one thing that it is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from proof.demo.checks import CheckInput, check_all
from proof.demo.context import ScenarioOperation
from proof.demo.report import Check, Invariants, Report, operation_report
from proof.harness.api_client import Operation, Step
from proof.harness.lab_delays import LabDelays
from proof.harness.outage import Sample

HOME, AWAY = "us-east-1a/m5.large/on-demand", "us-east-1b/m5.large/spot"
SPOT, OTHER = "us-east-1a/m5.large/spot", "us-east-1a/m5a.large/spot"
DELAYS = LabDelays(launch_s=1.5, boot_s=0.2, detach_s=0.3, attach_s=0.3, terminate_s=1.0)

# act: (server, requested at, handoff, from, to)
PLAYED: dict[str, tuple[str, float, str, str, str]] = {
    "switch web": ("web", 100.0, "stateless", HOME, SPOT),
    "switch orders": ("orders", 110.0, "volumes", HOME, SPOT),
    "switch ledger": ("ledger", 120.0, "snapshot", HOME, AWAY),
    "empty pool": ("web", 130.0, "stateless", SPOT, OTHER),
    "replica": ("orders", 140.0, "volumes", SPOT, OTHER),
    "rescue with replica": ("orders", 150.0, "volumes", SPOT, OTHER),
    "rescue without replica": ("ledger", 160.0, "volumes", AWAY, OTHER),
    "killed worker": ("orders", 170.0, "volumes", OTHER, SPOT),
    "never healthy": ("orders", 180.0, "volumes", SPOT, OTHER),
}
NOTES: dict[str, dict[str, Any]] = {
    "switch web": {"to_pool": SPOT},
    "empty pool": {"first": AWAY},
    "rescue with replica": {"noticed_at": 149.0, "doomed": "i-1", "replica": "i-2"},
    "rescue without replica": {"noticed_at": 159.0, "doomed": "i-3"},
    "killed worker": {"step": "move"},
    "never healthy": {"before": "i-2"},
}


def operation(act: str) -> Operation:
    server, at, handoff, from_pool, to_pool = PLAYED[act]
    receipt = {
        "handoff": handoff,
        "hourly_before": 0.096,
        "hourly_after": 0.03,
        "tried_pools": [f"{AWAY}: NoCapacity"] if act == "empty pool" else [],
    }
    steps = [Step("move", "2026-01-01T00:00:00+00:00", 500), Step("receipt", "2026-01-01T00:00:01+00:00", 50)]
    status = "rolled_back" if act == "never healthy" else "committed"
    name = act.replace(" ", "-")
    return Operation(
        f"op-{name}",
        f"operation/op-{name}",
        server,
        "switch",
        status,
        handoff,
        from_pool,
        to_pool,
        "",
        at,
        at + 6.0,
        steps,
        receipt,
    )


def served() -> dict[str, list[list[Sample]]]:
    """Answers ten times a second; orders is out from 113.0 to 114.2 and changes hands at 151."""
    times = [99.0 + tenth / 10 for tenth in range(1000)]
    return {
        "web": [[Sample(at, at + 0.01, True, "i-0") for at in times]],
        "orders": [
            [
                Sample(at, at + 0.01, not 113 < at < 114.2, "i-1" if at < 151 else "i-2", n)
                for n, at in enumerate(times, 1)
            ]
        ],
        "ledger": [[Sample(at, at + 0.01, True, "i-3" if at < 161 else "i-4", n) for n, at in enumerate(times, 1)]],
    }


@pytest.fixture
def went_well() -> CheckInput:
    operations = {act: operation(act) for act in PLAYED}
    acts = {
        act: ScenarioOperation(one.id, one.status, {"again": one.id, **NOTES.get(act, {})})
        for act, one in operations.items()
    }
    samples = served()
    from proof.harness.observer import Writes

    rows = [
        operation_report(one, one.server_id, samples[one.server_id], Writes([one.requested_at + 1]))
        for one in operations.values()
    ]
    return CheckInput(
        acts=acts,
        operations={one.id: one for one in operations.values()},
        report=Report(rows, Invariants(one_primary=True)),
        samples=samples,
        delays=DELAYS,
        reconnections=2,
        seconds=120.0,
    )


def broken(evidence: CheckInput) -> list[str]:
    return [check.name for check in check_all(evidence) if not check.held]


def test_a_demo_that_went_well_holds_every_check(went_well: CheckInput) -> None:
    assert broken(went_well) == []
    assert len(check_all(went_well)) > 20


def test_figures_are_told(went_well: CheckInput) -> None:
    found: dict[str, Check] = {check.name: check for check in check_all(went_well)}
    assert found["switch orders: outage within detach + attach + 1 s"].figures == "1200 of 1600 ms"
    assert found["rescue with replica: it serves within 5 s of the notice"].figures == "2.01 s"


def row(evidence: CheckInput, act: str, **change: Any) -> CheckInput:
    """The evidence with an operation's receipt changed."""
    wanted = evidence.acts[act].operation_id
    rows = [replace(one, **change) if one.id == wanted else one for one in evidence.report.operations]
    return replace(evidence, report=replace(evidence.report, operations=rows))


def invariant(evidence: CheckInput, **change: Any) -> CheckInput:
    invariants = replace(evidence.report.invariants, **change)
    return replace(evidence, report=replace(evidence.report, invariants=invariants))


def without(evidence: CheckInput, act: str) -> CheckInput:
    return replace(evidence, acts={name: one for name, one in evidence.acts.items() if name != act})


def noted(evidence: CheckInput, act: str, **notes: Any) -> CheckInput:
    changed = replace(evidence.acts[act], notes={**evidence.acts[act].notes, **notes})
    return replace(evidence, acts={**evidence.acts, act: changed})


def one_bad_request(evidence: CheckInput) -> CheckInput:
    samples = [replace(one, ok=False) if 101.95 < one.started < 102.05 else one for one in evidence.samples["web"][0]]
    changed = {**evidence.samples, "web": [samples]}
    return replace(evidence, samples=changed)


BREAKS: list[tuple[str, Callable[[CheckInput], CheckInput]]] = [
    ("replica: committed", lambda e: row(e, "replica", outcome="needs_attention")),
    ("killed worker: took place", lambda e: without(e, "killed worker")),
    ("no acknowledged write is lost", lambda e: invariant(e, writes_lost=1)),
    ("EC2 and the ledger agree: no orphan", lambda e: invariant(e, orphans=["EC2 has volume vol-1"])),
    ("no duplicate", lambda e: invariant(e, duplicates=1)),
    ("one primary, one workload at a time", lambda e: invariant(e, one_primary=False)),
    ("no event is missed by a reader that came back", lambda e: invariant(e, events_missed=1)),
    ("no event is missed by a reader that came back", lambda e: replace(e, reconnections=1)),
    ("no unexplained change", lambda e: row(e, "replica", unexplained_changes=1)),
    ("switch orders: from on-demand to cheaper spot", lambda e: row(e, "switch orders", hourly_after=0.2)),
    ("switch web: from on-demand to cheaper spot", lambda e: row(e, "switch web", hourly_after=0.2)),
    ("autopilot: its move went where it was decided", lambda e: noted(e, "switch web", to_pool=OTHER)),
    ("switch web: no failed request, no outage", lambda e: row(e, "switch web", outage_ms=10)),
    ("switch web: no failed request, no outage", one_bad_request),
    ("switch orders: outage within detach + attach + 1 s", lambda e: row(e, "switch orders", outage_ms=1601)),
    ("switch orders: its clients noticed", lambda e: row(e, "switch orders", outage_ms=0)),
    ("switch ledger: by snapshot to another zone", lambda e: row(e, "switch ledger", to_pool=SPOT)),
    ("switch ledger: by snapshot to another zone", lambda e: row(e, "switch ledger", handoff="volumes")),
    ("a request sent twice is one operation", lambda e: noted(e, "switch web", again="op-another")),
    ("empty pool: the next one was taken", lambda e: noted(e, "empty pool", first=SPOT)),
    (
        "rescue with replica: it serves within 5 s of the notice",
        lambda e: noted(e, "rescue with replica", noticed_at=145.9),
    ),
    (
        "rescue with replica: it serves within 5 s of the notice",
        lambda e: noted(e, "rescue with replica", replica="i-9"),
    ),
    (
        "rescue without replica: served within launch + 5 s = 6.7 s",
        lambda e: noted(e, "rescue without replica", noticed_at=154.2),
    ),
    ("killed worker: the switch went on to its end", lambda e: row(e, "killed worker", steps=[{"name": "move"}])),
    ("never healthy: the old primary serves again", lambda e: noted(e, "never healthy", before="i-9")),
    ("all of it in under three minutes", lambda e: replace(e, seconds=181.0)),
]


@pytest.mark.parametrize(("name", "harm"), BREAKS)
def test_each_check_fails_for_what_it_is_about(
    went_well: CheckInput, name: str, harm: Callable[[CheckInput], CheckInput]
) -> None:
    assert broken(harm(went_well)) == [name]


def test_a_demo_that_did_nothing_holds_nothing_of_note() -> None:
    nothing = CheckInput({}, {}, Report([], Invariants()), {}, DELAYS)
    held = {check.name for check in check_all(nothing) if check.held}
    assert held == {"EC2 and the ledger agree: no orphan", "no duplicate", "all of it in under three minutes"}
