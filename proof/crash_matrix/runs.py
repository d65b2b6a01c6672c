"""One run of an operation, with or without a kill in it, and what held afterwards."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from proof.crash_matrix.cells import (
    GIVEN_UP,
    Cell,
    KillPoint,
    cells_of_scenario,
    db_kill_points,
    ec2_kill_points,
    host_kill_points,
)
from proof.crash_matrix.rig import Rig, TargetServer
from proof.crash_matrix.scenarios import Scenario
from proof.harness.api_client import Operation
from proof.harness.invariants import OUTCOMES, broken_invariants
from proof.harness.waiting import ScenarioFailed


@dataclass(frozen=True)
class CellResult:
    """The result of one cell. `reached` False: the operation ended without reaching its place."""

    cell: str
    outcome: str
    reason: str
    reached: bool
    wrong: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def broken(self) -> list[str]:
        """The numbers of the invariants that did not hold."""
        return sorted({one.partition(":")[0] for one in self.wrong})


def run_undisturbed(rig: Rig, scenario: Scenario) -> tuple[list[Cell], CellResult]:
    """Run the operation without a kill; returns the cells that follow from it."""
    began, target, last = _begin(rig, scenario)
    rig.sql_proxy.count()
    operation = rig.site.end_of(scenario.ask(rig, target, _key(rig))())
    commits = rig.sql_proxy.commits
    places: list[KillPoint] = [*ec2_kill_points(rig.calls_since(last)), *db_kill_points(commits)]
    places += host_kill_points(operation.receipt)
    cells = cells_of_scenario(scenario.name, places, cancels=scenario.cancels)
    return cells, _row(rig, scenario, target, f"{scenario.name}/undisturbed", operation, True, began)


def run_cell(rig: Rig, scenario: Scenario, cell: Cell) -> CellResult:
    """Run one cell."""
    began = time.monotonic()
    try:
        began, target, _ = _begin(rig, scenario)
    except (ScenarioFailed, AssertionError) as error:
        return CellResult(
            cell.name, "", "", False, [f"5: what it begins with did not come about: {error}"], _since(began)
        )
    rig.arm(cell)
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(scenario.ask(rig, target, _key(rig)))
        reached = rig.await_held(lambda: _over(rig, asking))
        try:
            if reached:
                # The operation to cancel has to be known before the kill: afterwards no worker answers.
                given_up = asking.result() if cell.moment == GIVEN_UP else ""
                rig.strike(lambda: rig.cancel(given_up))
            else:
                rig.disarm()
            operation = rig.site.end_of(asking.result())
        except ScenarioFailed as error:
            return CellResult(cell.name, "", "", reached, [f"5: {error}"], _since(began))
    return _row(rig, scenario, target, cell.name, operation, reached, began, given_up=cell.moment == GIVEN_UP)


def _begin(rig: Rig, scenario: Scenario) -> tuple[float, TargetServer, int]:
    rig.number += 1
    target = rig.target(scenario.on, scenario.needs)
    rig.workers.replace_if_used()
    return time.monotonic(), target, rig.calls_so_far()


def _since(began: float) -> float:
    return time.monotonic() - began


def _key(rig: Rig) -> str:
    return f"cell-{rig.number}"


def _over(rig: Rig, asking: Future[str]) -> bool:
    operation = rig.site.read_operation(asking.result()) if asking.done() else None
    return operation is not None and operation.final


def _row(
    rig: Rig,
    scenario: Scenario,
    target: TargetServer,
    name: str,
    operation: Operation,
    reached: bool,
    began: float,
    *,
    given_up: bool = False,
) -> CellResult:
    wrong = _outcome(rig, scenario, target, operation, given_up)
    wrong += rig.forget_made()
    wrong += broken_invariants(rig.site, [target.server] if target.server else [])
    wrong += _once(rig, scenario, target, operation)
    return CellResult(name, operation.outcome, operation.reason, reached, wrong, time.monotonic() - began)


def _outcome(rig: Rig, scenario: Scenario, target: TargetServer, operation: Operation, given_up: bool) -> list[str]:
    """Invariant 5: it ended in one of the allowed ways, and the server matches that end."""
    ends = (*OUTCOMES, "cancelled") if given_up else OUTCOMES
    if operation.outcome not in ends:
        return [f"5: it ended {operation.outcome}"]
    if target.server is None or operation.outcome == "needs_attention":
        return []
    now = rig.site.primary(target.server)["id"]
    moved = scenario.moves and operation.outcome == "committed"
    if moved == (now != target.before):
        return []
    return [f"5: {operation.outcome}, and the primary is {now} after {target.before}"]


def _once(rig: Rig, scenario: Scenario, target: TargetServer, operation: Operation) -> list[str]:
    """Invariant 4: the same request again is the same operation."""
    if target.server is None or scenario.name.startswith("failover"):
        return []
    again = scenario.ask(rig, target, _key(rig))()
    return [] if again == operation.id else [f"4: the request again became {again} beside {operation.id}"]
