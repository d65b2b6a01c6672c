"""`python -m proof.crash_matrix.command`: kill the worker at every place of every operation, and check what holds.

Exit code 0 when every invariant held in every cell, 1 when one broke, 2 when no cell has such a name. The report,
var/crash-matrix/report.json, grows with every cell. An interrupted matrix continues with --resume.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path

from lab.stack.settings import REPOSITORY, StackSettings
from proof import run_limits
from proof.crash_matrix.cells import Cell, select_cells
from proof.crash_matrix.rig import Rig, rig
from proof.crash_matrix.runs import CellResult, run_cell, run_undisturbed
from proof.crash_matrix.scenarios import SCENARIOS, Scenario
from proof.harness.waiting import ScenarioFailed

_WIDTH = 62


class MatrixReport:
    """The result of each cell. It is on disk as soon as it is known."""

    def __init__(self, path: Path, seed: int, rows: Iterable[CellResult] = ()) -> None:
        self.path = path
        self.rows = list(rows)
        self.left = 0  # cells that were not run for lack of time
        self._seed = seed

    @classmethod
    def resumed(cls, path: Path, seed: int) -> MatrixReport:
        """Continue the report on disk. Only cells that held count as run. Raises SystemExit without a report."""
        try:
            rows = [CellResult(**row) for row in json.loads(path.read_text())["rows"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SystemExit(
                f"crash-matrix: there is no report to resume in {path} ({error}); run without RESUME"
            ) from error
        return cls(path, seed, [row for row in rows if not row.wrong])

    def note(self, row: CellResult) -> None:
        self.rows = [one for one in self.rows if one.cell != row.cell] + [row]
        self.write()

    def write(self) -> None:
        said = {"seed": self._seed, "left": self.left, "rows": [asdict(row) for row in self.rows]}
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(said))
        new.replace(self.path)

    def unknown(self, cells: Iterable[Cell]) -> list[Cell]:
        known = {row.cell for row in self.rows}
        return [cell for cell in cells if cell.name not in known]


class Matrix:
    """Runs cells one after another on one rig. After a broken invariant it takes a new rig, and keeps the logs and
    Temporal's histories of the old one."""

    def __init__(self, var: Path, seed: int, until: float, report: MatrixReport) -> None:
        self._var = var
        self._seed = seed
        self._until = until
        self._open = ExitStack()
        self._rig: Rig | None = None
        self.report = report
        self.named = 0  # cells that match what was asked for, run or not
        self.unseen = 0  # scenarios without an undisturbed run, so that their cells are unknown

    def run(self, scenario: Scenario, only: str, sample: int) -> None:
        if self._late():
            _say(f"{scenario.name}: no time left")
            self.unseen += 1
            return
        try:
            cells, row = run_undisturbed(self._ready(), scenario)
        except (ScenarioFailed, AssertionError) as error:
            self._note(CellResult(f"{scenario.name}/undisturbed", "", "", False, [f"5: {error}"]))
            self.unseen += 1
            return
        self._note(row)
        for cell in self._chosen(cells, only, sample):
            if self._late():
                self.report.left += 1
            else:
                self._note(run_cell(self._ready(), scenario, cell))

    def close(self) -> None:
        self._open.close()
        self._rig = None

    def _chosen(self, cells: Sequence[Cell], only: str, sample: int) -> list[Cell]:
        named = select_cells(cells, only, sample, self._seed)
        self.named += len(named)
        found = self.report.unknown(named)
        _say(f"{cells[0].scenario if cells else '-'}: {len(cells)} cells, {len(found)} of them are run")
        return found

    def _ready(self) -> Rig:
        if self._rig is None:
            shutil.rmtree(self._var, ignore_errors=True)
            self._rig = self._open.enter_context(rig(StackSettings(var=self._var), self._seed, _say))
        return self._rig

    def _note(self, row: CellResult) -> None:
        self.report.note(row)
        _say(result_line(row))
        if row.wrong:
            self.close()
            self._keep(row.cell.replace("/", "."))

    def _keep(self, name: str) -> None:
        kept = self.report.path.parent / "broken" / name
        if self._var.exists():
            shutil.rmtree(kept, ignore_errors=True)
            kept.parent.mkdir(exist_ok=True)
            self._var.rename(kept)
            _say(f"its logs and histories are kept in {kept}")

    def _late(self) -> bool:
        return time.monotonic() > self._until


def result_line(row: CellResult) -> str:
    what = row.outcome if row.reached else f"{row.outcome} (not reached)"
    held = "invariants hold" if not row.wrong else f"BROKEN {', '.join(row.broken)}: {'; '.join(row.wrong)}"
    return f"{row.cell:{_WIDTH}} {what:24} {row.seconds:6.1f} s  {held}"


def matching_scenarios(only: str) -> list[Scenario]:
    return [one for one in SCENARIOS if fnmatchcase(one.name, only.partition("/")[0] + ("" if "/" in only else "*"))]


def scenarios_to_run(only: str, sample: int, seed: int) -> Iterator[tuple[Scenario, int]]:
    """The scenarios that `only` matches, and how many cells of each. A sample is drawn from a few scenarios."""
    named = matching_scenarios(only)
    if not sample:
        yield from ((one, 0) for one in named)
        return
    few = random.Random(f"{seed}/scenarios").sample(named, min(len(named), max(1, sample // 2)))
    for number, one in enumerate(few):
        yield one, sample // len(few) + (number < sample % len(few))


@contextmanager
def matrix(var: Path, seed: int, minutes: float, report: MatrixReport) -> Iterator[Matrix]:
    made = Matrix(var, seed, time.monotonic() + 60 * minutes, report)
    try:
        yield made
    finally:
        made.close()


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    _say(f"seed {given.seed}; only {given.only or 'everything'}; {given.sample or 'all'} cells")
    where = given.var / "report.json"
    report = MatrixReport.resumed(where, given.seed) if given.resume else MatrixReport(where, given.seed)
    if given.resume:
        _say(f"{len(report.rows)} cells held already, as {where} says")
    with matrix(given.var / "stack", given.seed, given.minutes, report) as made:
        for scenario, sample in scenarios_to_run(given.only, given.sample, given.seed):
            made.run(scenario, given.only, sample)
    report.write()
    if not made.named and not made.unseen:
        _say(
            f"crash-matrix: no cell's name begins with {given.only!r}; a cell is SCENARIO/ec2|db|host/PLACE#NTH/MOMENT"
        )
        return 2
    _summary(report)
    _say(f"report in {where}")
    return 1 if any(row.wrong for row in report.rows) else 0


def _summary(report: MatrixReport) -> None:
    outcomes = Counter(row.outcome or "no end" for row in report.rows)
    missed = sum(1 for row in report.rows if not row.reached)
    broken = sum(1 for row in report.rows if row.wrong)
    words = ", ".join(f"{count} {name}" for name, count in outcomes.most_common())
    _say(f"{len(report.rows)} runs: {words}; {missed} places not reached, {report.left} cells without time")
    _say(f"{broken} runs broke an invariant" if broken else "every invariant held in every run")


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proof.crash_matrix.command", description=__doc__)
    parser.add_argument("--only", default="", help="cells whose name begins so: switch-volumes/ec2/Attach, */db")
    parser.add_argument("--seed", type=int, default=1, help="draws the sample")
    parser.add_argument("--sample", type=run_limits.cells, default=0, help="how many cells; 0: all")
    parser.add_argument("--minutes", type=run_limits.minutes, default=600.0, help="begin no cell after so long")
    parser.add_argument("--resume", action="store_true", help="leave out what held, by the report that is there")
    parser.add_argument("--var", type=Path, default=REPOSITORY / "var" / "crash-matrix")
    given = parser.parse_args(arguments)
    if not matching_scenarios(given.only):
        parser.error(f"no scenario is named {given.only!r}; there are {', '.join(one.name for one in SCENARIOS)}")
    given.var.mkdir(parents=True, exist_ok=True)
    return given


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
