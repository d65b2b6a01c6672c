"""The demo as a whole: a stack of its own, the scenario, the audit, the report; then everything is stopped."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from demo import audit, market
from demo.acts import SCENARIO
from demo.checks import Delays, Evidence, check_all
from demo.control_plane import ControlPlane, Operation
from demo.errors import DemoFailed, Overdue
from demo.follower import Follower
from demo.ledger import Ledger
from demo.loop_thread import LoopThread
from demo.observer import Observer, Writes
from demo.report import Invariants, Report, reported
from demo.screen import Check, Screen
from demo.stage import Stage
from demo.waiting import until
from lab.hosts import journal
from stack import database
from stack.mariadb import DatabaseUnavailable
from stack.ports import PortsInUse
from stack.processes import StartFailed
from stack.settings import StackSettings
from stack.state import Hold
from stack.up import Stack

START_FAILURES = (StartFailed, PortsInUse, DatabaseUnavailable)
_SETTLE_S = 20.0
_LAST_ANSWER_S = 5.0
_TAIL_LINES = 30


@dataclass
class Findings:
    """What is known at the end; it begins empty, so that there is a report of a demo that fell over early."""

    operations: list[Operation] = field(default_factory=list)
    writes: dict[str, Writes] = field(default_factory=dict)
    invariants: Invariants = field(default_factory=Invariants)
    details: dict[str, list[str]] = field(default_factory=dict)


def play(settings: StackSettings, seed: int, screen: Screen) -> bool:
    """Play everything; True when every check held. The report is written whatever happens."""
    with _own_folder(settings.var):
        screen.act("Starting database, Temporal, lab, API and worker")
        screen.say(f"seed {seed}; logs in {settings.logs}")
        with (
            Stack(settings, report=screen.say) as stack,
            LoopThread("observer") as loop,
            stack.lab() as lab,
            stack.api() as http,
        ):
            return _play_on(_stage(stack, loop, lab, http, seed, screen))


def _play_on(stage: Stage) -> bool:
    failure = ""
    findings = Findings()
    try:
        stage.follower.come_back()
        for title, act in SCENARIO:
            stage.screen.act(title)
            act(stage)
    except (DemoFailed, httpx.HTTPError) as error:
        failure = f"{type(error).__name__}: {error}"
        stage.screen.failure(failure)
    except BaseException:
        _write(stage, findings)
        raise
    stage.screen.act("Looking back")
    failure = "; ".join(filter(None, [failure, _look_back(stage, findings)]))
    return _tell(stage, findings, failure)


def _look_back(stage: Stage, findings: Findings) -> str:
    """Fill the findings in as far as it goes; what stood in the way, or nothing."""
    try:
        _settle(stage, findings)
        stage.observer.stop()
        for server in stage.servers:
            findings.writes[server] = stage.observer.count_writes(server)
        _audit(stage, findings)
    except (DemoFailed, httpx.HTTPError) as error:
        stage.screen.failure(f"{type(error).__name__}: {error}")
        return f"{type(error).__name__}: {error}"
    return ""


def _tell(stage: Stage, findings: Findings, failure: str) -> bool:
    report = _write(stage, findings)
    stage.screen.receipts(report.operations)
    evidence = Evidence(
        acts=stage.acts,
        operations={one.id: one for one in findings.operations},
        report=report,
        samples={name: stage.observer.samples(name) for name in stage.servers},
        delays=Delays.of(stage.lab.get("/_lab/world").raise_for_status().json()),
        details=findings.details,
        reconnections=stage.follower.connections,
        seconds=stage.screen.seconds,
    )
    found = [Check("the scenario was played to its end", not failure, failure), *check_all(evidence)]
    stage.screen.checks(found)
    held = all(check.held for check in found)
    if not held:
        _show_logs(stage)
    stage.screen.say(f"report: {_report_path(stage)}")
    return held


# --- before


def _stage(stack: Stack, loop: LoopThread, lab: httpx.Client, http: httpx.Client, seed: int, screen: Screen) -> Stage:
    pools: Sequence[Mapping[str, Any]] = lab.get("/_lab/market").raise_for_status().json()["pools"]
    return Stage(
        stack=stack,
        api=ControlPlane(http),
        lab=lab,
        observer=Observer(loop),
        follower=Follower(loop, stack.urls["api"], stack.credentials.client_token),
        screen=screen,
        stalls=market.choose(pools),
        chance=random.Random(seed),  # noqa: S311 - chooses a step, no secret
    )


@contextmanager
def _own_folder(var: Path) -> Iterator[None]:
    """Nobody else's while it lasts, and empty at the start: what an earlier demo left would be found again."""
    hold = Hold(var)
    if not hold.take():
        hold.close()
        raise DemoFailed(f"another demo runs in {var}; wait for its end, or choose another folder with --var")
    try:
        database.clean(var)
        for entry in var.iterdir():
            if entry.name != "stack.lock":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        yield
    finally:
        hold.close()


# --- afterwards


def _settle(stage: Stage, findings: Findings) -> None:
    """Wait until nothing is in progress, and clients have seen a second more."""

    def at_rest() -> bool | None:
        unfinished = [*stage.api.operation_ids(status="queued"), *stage.api.operation_ids(status="running")]
        return True if not unfinished else None

    try:
        until("every operation ends", _SETTLE_S, at_rest, every_s=0.2)
    finally:
        findings.operations = stage.api.operations()
    end = max((one.finished_at or 0.0 for one in findings.operations), default=0.0) + 1.0
    for server in stage.servers:
        until(
            f"{server} is watched for a second more",
            _LAST_ANSWER_S,
            lambda server=server: True if stage.observer.seen_until(server, end) else None,  # type: ignore[misc]
        )


def _audit(stage: Stage, findings: Findings) -> None:
    instances = stage.api.instances()
    url = stage.stack.database.url if stage.stack.database else ""
    ledger = Ledger(url, stage.stack.credentials.client_id)
    doubled = audit.duplicates(_truth(stage), ledger.instances_made(), {s.instance_id for s in stage.servers.values()})
    doubled += _unasked(stage, findings.operations)
    wrong = _primaries(stage, instances)
    findings.details = {"duplicates": doubled, "primaries": wrong}
    findings.invariants = Invariants(
        one_primary=not wrong,
        writes_lost=sum(len(writes.lost) for writes in findings.writes.values()),
        orphans=_orphans(stage, ledger),
        duplicates=len(doubled),
        events_missed=_missed(stage),
    )


def _orphans(stage: Stage, ledger: Ledger) -> list[str]:
    """The last records may still be on their way: a difference counts when it stays."""
    last: list[str] = []

    def agree() -> bool | None:
        last[:] = audit.orphans(_truth(stage), ledger.open_rows())
        return True if not last else None

    try:
        until("EC2 and the ledger agree", _LAST_ANSWER_S, agree, every_s=0.3)
    except Overdue:
        return last
    return []


def _primaries(stage: Stage, instances: Sequence[Mapping[str, Any]]) -> list[str]:
    """What speaks against one primary for each server, by the records and by the hosts' own journal."""
    count = audit.primaries(instances)
    names = {server.server_id: name for name, server in stage.servers.items()}
    wrong = [f"{name} has {count[server_id]} primaries" for server_id, name in names.items() if count[server_id] != 1]
    owners = {str(row["id"]): names[str(row["server_id"])] for row in instances if row["server_id"] in names}
    runs = audit.runs(journal.read(str(stage.stack.settings.var / "lab")), time.time())
    return wrong + audit.overlaps(runs, owners)


def _unasked(stage: Stage, operations: Sequence[Operation]) -> list[str]:
    """A request carried out twice, or a notice acted on twice, would be an operation that no act knows."""
    asked = {act.operation_id for act in stage.acts.values()}
    return [f"{one.kind} {one.id} was asked for by no act" for one in operations if one.id not in asked]


def _missed(stage: Stage) -> int:
    """Against the head of the stream, once the reader has had time to reach it."""
    head = stage.api.latest_event()
    tally = stage.follower.tally
    try:
        until("the event stream is caught up", _LAST_ANSWER_S, lambda: True if tally.last >= head else None)
    except Overdue as error:
        stage.screen.failure(str(error))
    return tally.missed_by(head)


def _truth(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.lab.get("/_lab/truth").raise_for_status().json()
    return found


def _write(stage: Stage, findings: Findings) -> Report:
    names = {server.server_id: name for name, server in stage.servers.items()}
    rows = [
        reported(
            one,
            names.get(one.server_id, one.server_id),
            stage.observer.samples(names.get(one.server_id, "")),
            findings.writes.get(names.get(one.server_id, ""), Writes()),
        )
        for one in findings.operations
    ]
    report = Report(rows, findings.invariants)
    report.write(_report_path(stage))
    return report


def _report_path(stage: Stage) -> Path:
    return stage.stack.settings.var / "report.json"


def _show_logs(stage: Stage) -> None:
    for name in ("worker-1", "api", "lab"):
        process = stage.stack.processes.get(name)
        if process:
            stage.screen.log_tail(str(process.log), process.log_tail(_TAIL_LINES))
