"""`make backtest`, `python -m research.backtest` and the check of the harness against what others have published."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from domain.backtest.contract import NoData
from lab.stack.settings import REPOSITORY
from research.backtest import deadline_jobs
from research.backtest.__main__ import main
from research.backtest.traces import Trace, load_traces
from tests.market_histories import write_history_folder

DATA = os.environ.get("SPOT_BACKTEST_DATA", "")


def test_a_folder_is_replayed_into_tables_and_a_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "var" / "report.json"
    assert main([str(write_history_folder(tmp_path / "data")), "--quick", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    for table in ("A, availability", "B, prices", "C, deadline jobs", "D, ordinary types", "What was asked"):
        assert table in said
    report = json.loads(out.read_text())
    assert {one["policy"] for one in report["availability"]} >= {"policy", "clairvoyant", "always on-demand"}
    for one in report["availability"]:
        assert one["j"]["low"] <= one["j"]["value"] <= one["j"]["high"]
    assert report["prices"]
    assert report["deadlines"].keys() == {"greedy", "uniform progress"}
    assert report["chosen_on"]
    assert report["judged_on"]


@pytest.mark.parametrize("name", ["traces_runs.csv", "ondemand.csv", "pool_groups.csv"])
def test_a_file_that_lacks_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    data = write_history_folder(tmp_path)
    (data / name).unlink()
    assert main([str(data), "--quick", "--out", str(tmp_path / "r.json")]) == 1
    assert f"has no {name}" in capsys.readouterr().err
    assert not (tmp_path / "r.json").exists()


def test_a_folder_that_is_none_or_is_empty_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().err
    assert main([str(tmp_path)]) == 1
    assert "has neither traces_series.csv nor prices_*.csv" in capsys.readouterr().err


def test_make_asks_for_the_folder() -> None:
    done = subprocess.run(["make", "backtest", "DATA="], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "name the folder with the history: make backtest DATA=folder" in done.stderr


# --- C, deadline jobs


def trace(up: list[bool]) -> Trace:
    return Trace("avail1-2022-10-26-x", "p3.2xlarge", "us-east-1a", 1, 0.1, up, [])


def test_a_job_with_spot_all_the_time_never_pays_on_demand() -> None:
    for uniform in (False, True):
        on_demand, spot = deadline_jobs.hours_of_work([True] * 700, 0.1, uniform)
        assert (on_demand, spot) == pytest.approx((0.0, 48.0))


def test_a_job_without_spot_is_done_on_demand_in_time() -> None:
    for uniform in (False, True):
        on_demand, spot = deadline_jobs.hours_of_work([False] * 700, 0.1, uniform)
        assert (on_demand, spot) == pytest.approx((48.0, 0.0))


def test_greedy_idles_while_it_can_and_uniform_progress_does_not() -> None:
    """Spot is there for the first ten hours of sixty."""
    up = [True] * 100 + [False] * 600
    greedy, uniform = deadline_jobs.Job(False, done_h=9.8), deadline_jobs.Job(True, done_h=7.0)
    assert greedy.next(11.0, False) == ""
    assert uniform.next(11.0, False) == "on-demand"
    for job in (False, True):
        on_demand, spot = deadline_jobs.hours_of_work(up, 0.1, job)
        assert spot == pytest.approx(9.8)
        assert on_demand + spot == pytest.approx(48.0)


def test_a_series_that_ends_before_the_job_is_no_data() -> None:
    with pytest.raises(NoData, match="the series ends before the job"):
        deadline_jobs.hours_of_work([True] * 100, 0.1, False)
    with pytest.raises(NoData, match="no series of 60 hours"):
        deadline_jobs.check([trace([True] * 100)])
    with pytest.raises(NoData, match="no series for the check"):
        deadline_jobs.check([])


@pytest.mark.skipif(not DATA, reason="SPOT_BACKTEST_DATA names no folder with the published traces")
def test_the_published_hours_come_out_within_one() -> None:
    paper = [one for one in load_traces(Path(DATA)) if one.series_id.startswith("avail1-2022-10-26")]
    for name, hours in deadline_jobs.check(paper).items():
        assert hours == pytest.approx(deadline_jobs.PUBLISHED[name], abs=1.0), name
