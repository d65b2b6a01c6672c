"""The benchmarks run, quickly: each measure that needs no hosts, with its results and its table."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab.stack import database
from lab.stack.settings import REPOSITORY

# The measures with real hosts (outage, rescue, share) repeat the demo's steps, and take minutes.
MEASURES = {
    "hot_queries": {"a server's pending work", "instance state", "a day of a pool's prices", "the dashboard's summary"},
    "streams": {"event to reader, 1 readers", "event to reader, 4 readers"},
    "at_rest": {"fleet at rest, 5 servers", "API lists, 5 servers", "fleet at rest, 10 servers"},
    "at_once": {"switches at once, 1", "switches at once, 3", "failovers at once, 2"},
}


LIMIT_S = 900
pytestmark = pytest.mark.timeout(LIMIT_S + 60)


@dataclass(frozen=True)
class QuickRun:
    """All of these measures in one process, which imports everything only once. Each has its own stack."""

    var: Path
    runs: dict[str, Any]  # by measure
    said: str


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> QuickRun:
    folder = tmp_path_factory.mktemp("benchmarks")
    var, results = folder / "var", folder / "results.json"
    argv = [sys.executable, "-m", "proof.benchmarks", "--only", *MEASURES, "--quick", "--var", str(var)]
    done = subprocess.run(
        [*argv, "--results", str(results)], cwd=REPOSITORY, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    for measure in MEASURES:
        database.clean(var / measure)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return QuickRun(var, {run["measure"]: run for run in json.loads(results.read_text())["runs"]}, done.stdout)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_runs_and_says_what_it_found(quick: QuickRun, measure: str) -> None:
    run = quick.runs[measure]
    assert run["quick"], "a quick run must not pass for a measurement"
    found: dict[str, Any] = {one["what"]: one for one in run["figures"]}
    assert MEASURES[measure] <= set(found)
    assert all(one["how"] and one["measured"] and one["baseline"] and one["baseline_is"] for one in found.values())
    assert not any(one["measured"].get("not committed") or one["measured"].get("missed") for one in found.values())
    assert "QUICK" in quick.said
    assert not (quick.var / measure).exists(), "a measure removes what it has made"
