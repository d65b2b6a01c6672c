"""A sample of the crash matrix, drawn from the seed; and three broken builds that the matrix has to catch.

`make crash-matrix` runs all of it. The tests share one rig, since its start takes long. The broken builds come
last, and what was broken before does not count.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab.stack.settings import StackSettings
from proof.crash_matrix.cells import AFTER, BEFORE, GIVEN_UP, Cell, KillPoint
from proof.crash_matrix.command import result_line
from proof.crash_matrix.rig import Rig, rig
from proof.crash_matrix.runs import CellResult, run_cell, run_undisturbed
from proof.crash_matrix.scenarios import SCENARIOS, Scenario
from proof.harness import invariants
from proof.harness.site import Site
from tests.conftest import SharedServers
from tests.e2e.conftest import PrintLine, on

SETTLE_S = 10.0  # shorter than for a build that works: what is broken stays broken
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
CUT = ("switch-volumes", "switch-snapshot", "switch-stateless", "failover-volumes", "failover-replica", "promote")


@pytest.fixture(scope="module")
def matrix_rig(
    tmp_path_factory: pytest.TempPathFactory, seed: int, say: PrintLine, shared_servers: SharedServers
) -> Iterator[Rig]:
    with rig(on(shared_servers, StackSettings(var=tmp_path_factory.mktemp("matrix"))), seed, say) as made:
        yield made


@pytest.fixture(scope="module")
def cells(matrix_rig: Rig) -> dict[str, list[Cell]]:
    """The cells of two operations: the one in which the broken builds are caught, and one that is drawn."""
    found = {}
    for name in ("switch-volumes", matrix_rig.site.chance("scenario").choice(CUT[1:])):
        found[name], row = run_undisturbed(matrix_rig, BY_NAME[name])
        matrix_rig.site.say(result_line(row))
        assert not row.wrong
    return found


@pytest.mark.parametrize(("kind", "moment"), [("ec2", BEFORE), ("ec2", AFTER), ("db", AFTER), ("host", BEFORE)])
def test_a_worker_killed_at_a_place_drawn_from_the_matrix_breaks_no_invariant(
    matrix_rig: Rig, cells: dict[str, list[Cell]], kind: str, moment: str
) -> None:
    chance = matrix_rig.site.chance(f"{kind} {moment}")
    name = chance.choice(sorted(cells))
    cell = chance.choice([one for one in cells[name] if one.place.kind == kind and one.moment == moment])
    row = run_cell(matrix_rig, BY_NAME[name], cell)
    matrix_rig.site.say(result_line(row))
    assert not row.wrong, f"seed {matrix_rig.site.seed}: {result_line(row)}"


def test_an_operation_given_up_while_its_launch_is_unheard_of_leaves_nothing(
    matrix_rig: Rig, cells: dict[str, list[Cell]]
) -> None:
    row = run_cell(matrix_rig, BY_NAME["switch-volumes"], _launch(cells, GIVEN_UP))
    matrix_rig.site.say(result_line(row))
    assert (row.reached, row.wrong, row.outcome) == (True, [], "cancelled")


# --- the tests of the tests


def test_an_undo_registered_after_its_step_is_caught(
    matrix_rig: Rig, cells: dict[str, list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _run_with_build(matrix_rig, "late_undo", BY_NAME["switch-volumes"], _launch(cells, GIVEN_UP), monkeypatch)
    assert row.broken == ["3"], result_line(row)


def test_a_token_that_is_not_derived_from_its_step_is_caught(
    matrix_rig: Rig, cells: dict[str, list[Cell]], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = _run_with_build(matrix_rig, "random_token", BY_NAME["switch-volumes"], _launch(cells, AFTER), monkeypatch)
    assert row.broken == ["3"], result_line(row)


def test_a_fence_that_is_left_out_is_caught(matrix_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where volumes are copied, EC2 itself does not prevent two workloads."""
    cell = Cell("switch-snapshot", KillPoint("ec2", "CreateVolume"), AFTER)
    row = _run_with_build(matrix_rig, "no_fence", BY_NAME["switch-snapshot"], cell, monkeypatch)
    assert "1" in row.broken, result_line(row)


def _launch(cells: dict[str, list[Cell]], moment: str) -> Cell:
    found = [one for one in cells["switch-volumes"] if one.place.name == "RunInstances" and one.moment == moment]
    return next(one for one in found if one.place.changes)


def _run_with_build(
    matrix_rig: Rig, build: str, scenario: Scenario, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> CellResult:
    """Run the cell with a broken build; the result has only what was not wrong before. Then load the working build."""
    matrix_rig.target(scenario)  # the working build makes what the cell needs
    monkeypatch.setattr(invariants, "_SETTLE_S", SETTLE_S)
    before = _wrong(matrix_rig.site)
    matrix_rig.workers.load_build(f"tests.broken_builds.{build}")
    try:
        row = run_cell(matrix_rig, scenario, cell)
    finally:
        matrix_rig.workers.load_build()
    matrix_rig.site.say(f"{build}: {result_line(row)}")
    return CellResult(row.cell, row.outcome, row.reason, row.reached, [one for one in row.wrong if one not in before])


def _wrong(site: Site) -> list[str]:
    return invariants.broken_invariants(site, [])
