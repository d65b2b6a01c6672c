"""What the benchmarks print and write: percentiles that are values, and results that outlive the next measure."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from proof.benchmarks import __main__ as benchmarks
from proof.benchmarks import results_table
from proof.benchmarks.figure import Figure, Machine, percentile, summary
from proof.benchmarks.setup import MeasureSetup


def a_figure(measure: str, met: bool | None = True) -> Figure:
    measured = {"p50": 1.5, "p95": 1234.0, "missed": 0, "n": 20}
    return Figure(measure, f"{measure} of it", "ms", measured, {"p50": 3.0}, "by hand", "p95 under 2", met, "so")


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two measures that take no time."""
    made = {name: (lambda setup, name=name: [a_figure(name, met=setup.quick)]) for name in ("one", "other")}
    monkeypatch.setattr(benchmarks, "MEASURES", made)
    monkeypatch.setattr("lab.stack.database_server.version", lambda: "a database")


@pytest.mark.parametrize(("share", "found"), [(50, 10), (95, 19), (99, 20), (100, 20)])
def test_a_percentile_is_one_of_the_values(share: float, found: int) -> None:
    assert percentile(range(20, 0, -1), share) == found
    assert percentile([7], share) == 7


def test_a_summary_says_of_how_many() -> None:
    assert summary([1.0, 2.0, 3.0]) == {"p50": 2.0, "p95": 3.0, "n": 3}


def test_a_quick_run_chooses_less(tmp_path: Path) -> None:
    assert MeasureSetup(tmp_path, quick=True).choose(20, 1) == 1
    assert MeasureSetup(tmp_path).choose(20, 1) == 20


def test_one_measure_again_leaves_the_others_results(
    two: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    given = ["--var", str(tmp_path / "var"), "--results", str(results)]
    assert benchmarks.main([*given, "--quick"]) == 0
    assert benchmarks.main([*given, "--only", "other"]) == 0
    first, second = json.loads(results.read_text())["runs"]
    assert (first["measure"], first["quick"], second["measure"], second["quick"]) == ("one", True, "other", False)
    assert second["machine"]["cores"] == Machine.here().cores
    assert len(second["machine"]["load_before"]) == 3
    printed = capsys.readouterr().out
    assert "NOT met" in printed
    assert "QUICK" in printed


def test_a_measure_that_breaks_off_does_not_take_the_others_with_it(
    two: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results.json"
    given = ["--var", str(tmp_path / "var"), "--results", str(results)]
    assert benchmarks.main(given) == 0

    def broken(setup: MeasureSetup) -> list[Figure]:
        raise RuntimeError("the lab has no room")

    monkeypatch.setattr(benchmarks, "MEASURES", {"one": broken, "other": benchmarks.MEASURES["other"]})
    capsys.readouterr()
    assert benchmarks.main([*given, "--only", "one", "other"]) == 1
    assert [run["measure"] for run in json.loads(results.read_text())["runs"]] == ["other"], "no result of an old run"
    printed = capsys.readouterr().out
    assert "the lab has no room" in printed
    assert "other of it" in printed
    assert printed.rstrip().endswith("broke off, see above: one")


def test_a_measure_that_is_not_there_is_named(two: None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmarks.main(["--only", "all"])
    assert "'one', 'other'" in capsys.readouterr().err


def test_a_database_that_cannot_be_used_ends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://spot:secret@127.0.0.1:1/")
    assert benchmarks.main(["--results", str(tmp_path / "results.json")]) == 2
    assert "127.0.0.1:1, cannot be used" in capsys.readouterr().out
    assert not (tmp_path / "results.json").exists()


def test_the_table_gives_units_to_times_alone() -> None:
    run = {"measure": "one", "at": "now", "quick": False, "took_s": 1.0, "database": "a database",
           "machine": {"load_before": [0.5], "load_after": [1.5], "cores": 2, "processor": "one", "memory_gib": 8},
           "figures": [a_figure("one").as_json()]}  # fmt: skip
    console = Console(width=200, record=True, file=io.StringIO())
    results_table.show(console, [run])
    printed = console.export_text()
    assert "p95 1,234 ms" in printed
    assert "missed 0 " in printed
    assert "missed 0 ms" not in printed
    assert "Baseline: by hand" in printed
