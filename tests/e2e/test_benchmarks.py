"""The benchmarks run, quickly: each measure that needs no hosts, with its results and its table."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.stack import database
from lab.stack.settings import REPOSITORY

# Those of real hosts (outage, rescue, share) are the demo's steps once more, and take minutes.
MEASURES = {
    "hot_queries": {"a server's pending work", "instance state", "a day of a pool's prices", "the dashboard's summary"},
    "streams": {"event to reader, 1 readers", "event to reader, 4 readers"},
    "at_rest": {"fleet at rest, 5 servers", "API lists, 5 servers", "fleet at rest, 10 servers"},
    "at_once": {"switches at once, 1", "switches at once, 3", "failovers at once, 2"},
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_runs_and_says_what_it_found(tmp_path: Path, measure: str) -> None:
    var, results = tmp_path / "var", tmp_path / "results.json"
    argv = [sys.executable, "-m", "proof.benchmarks", "--only", measure, "--quick", "--var", str(var)]
    done = subprocess.run(
        [*argv, "--results", str(results)], cwd=REPOSITORY, capture_output=True, text=True, timeout=280, check=False
    )
    database.clean(var / measure)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (run,) = json.loads(results.read_text())["runs"]
    assert run["measure"] == measure
    assert run["quick"], "a quick run must not pass for a measurement"
    found: dict[str, Any] = {one["what"]: one for one in run["figures"]}
    assert MEASURES[measure] <= set(found)
    assert all(one["how"] and one["measured"] and one["baseline"] and one["baseline_is"] for one in found.values())
    assert not any(one["measured"].get("not committed") or one["measured"].get("missed") for one in found.values())
    assert "QUICK" in done.stdout
    assert not (var / measure).exists(), "what a measure has made it removes"
