"""The whole demo: it starts a stack, runs the scenario, collects findings, writes the report, and stops everything."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from anyio.from_thread import BlockingPortal

from lab.loop_thread import loop_thread
from lab.stack import database
from lab.stack.database_server import DatabaseUnavailable
from lab.stack.ports import PortsInUse
from lab.stack.processes import StartFailed
from lab.stack.settings import StackSettings
from lab.stack.stack import Stack
from lab.stack.state import StackLock
from proof.demo.checks import CheckInput, check_all
from proof.demo.context import DemoContext
from proof.demo.findings import Findings, collect_findings
from proof.demo.report import Check
from proof.demo.scenario import SCENARIO
from proof.demo.screen import Screen
from proof.harness import market
from proof.harness.api_client import ControlPlaneClient
from proof.harness.follower import EventFollower
from proof.harness.lab_delays import LabDelays
from proof.harness.observer import Observer
from proof.harness.waiting import ScenarioFailed

START_FAILURES = (StartFailed, PortsInUse, DatabaseUnavailable)
_FAILURES = (ScenarioFailed, httpx.HTTPError)
_TAIL_LINES = 30
_LOGS = ("worker-1", "api", "lab")


def run_demo(settings: StackSettings, seed: int, screen: Screen, *, untimed: bool = False) -> bool:
    """Run the demo; True when every check held. Once the stack runs, a report is written in any case.

    `untimed`: checks that depend on how fast the machine is are shown, and do not decide.
    """
    with _own_folder(settings.var):
        screen.act("Starting database, Temporal, lab, API and worker")
        screen.say(f"seed {seed}; logs in {settings.logs}")
        with (
            Stack(settings, report=screen.say) as stack,
            loop_thread("observer") as portal,
            stack.lab() as lab,
            stack.api() as http,
        ):
            return _play_on(_stage(stack, portal, lab, http, seed, screen, untimed))


def _play_on(stage: DemoContext) -> bool:
    findings = Findings()
    try:
        failures = [*_scenario(stage), *_look_back(stage, findings)]
    except BaseException:
        findings.report(stage).write(_report_path(stage))
        raise
    return _tell(stage, findings, failures)


def _scenario(stage: DemoContext) -> Iterator[str]:
    """Run the steps in order; yields what stopped them, if anything did."""
    try:
        stage.follower.connect()
        for title, act in SCENARIO:
            stage.screen.act(title)
            act(stage)
    except _FAILURES as error:
        yield _said(stage, error)


def _look_back(stage: DemoContext, findings: Findings) -> Iterator[str]:
    stage.screen.act("Looking back")
    try:
        collect_findings(stage, findings)
    except _FAILURES as error:
        yield _said(stage, error)


def _tell(stage: DemoContext, findings: Findings, failures: list[str]) -> bool:
    report = findings.report(stage)
    report.write(_report_path(stage))
    stage.screen.receipts(report.operations)
    evidence = CheckInput(
        acts=stage.acts,
        operations={one.id: one for one in findings.operations},
        report=report,
        samples={name: stage.observer.samples(name) for name in stage.servers},
        delays=LabDelays.of(stage.world),
        details=findings.details,
        reconnections=stage.follower.connections,
        seconds=stage.screen.seconds,
    )
    whole = Check("the scenario was played to its end", not failures, "; ".join(failures))
    found = [whole, *check_all(evidence)]
    stage.screen.checks(found)
    held = all(check.held or (check.timed and stage.untimed) for check in found)
    if failures:
        _show_logs(stage)
    stage.screen.say(f"{'every check held' if held else 'NOT every check held'}; report: {_report_path(stage)}")
    return held


def _stage(
    stack: Stack,
    portal: BlockingPortal,
    lab: httpx.Client,
    http: httpx.Client,
    seed: int,
    screen: Screen,
    untimed: bool,
) -> DemoContext:
    return DemoContext(
        stack=stack,
        api=ControlPlaneClient(http),
        lab=lab,
        observer=Observer(portal),
        follower=EventFollower(portal, stack.urls["api"], stack.credentials.client_token),
        screen=screen,
        world=lab.get("/_lab/world").raise_for_status().json(),
        market_choice=market.choose_market(lab.get("/_lab/market").raise_for_status().json()["pools"]),
        chance=random.Random(seed),
        untimed=untimed,
    )


@contextmanager
def _own_folder(var: Path) -> Iterator[None]:
    """Lock the folder and empty it: this demo would find what an earlier one left."""
    hold = StackLock(var)
    try:
        if not hold.take():
            raise ScenarioFailed(f"another demo runs in {var}; wait for its end, or choose another folder with --var")
        database.clean(var)
        for entry in var.iterdir():
            if entry.name != "stack.lock":
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        yield
    finally:
        hold.close()


def _said(stage: DemoContext, error: Exception) -> str:
    text = f"{type(error).__name__}: {error}"
    stage.screen.failure(text)
    return text


def _report_path(stage: DemoContext) -> Path:
    return stage.stack.settings.var / "report.json"


def _show_logs(stage: DemoContext) -> None:
    for name in _LOGS:
        process = stage.stack.processes.get(name)
        if process:
            stage.screen.log_tail(str(process.log), process.log_tail(_TAIL_LINES))
