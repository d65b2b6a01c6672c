"""The crash matrix: its cells, its report, and what it refuses to run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from proof.crash_matrix import command
from proof.crash_matrix.cells import (
    AFTER,
    BEFORE,
    GIVEN_UP,
    Cell,
    KillPoint,
    cells_of_scenario,
    db_kill_points,
    ec2_kill_points,
    host_kill_points,
    select_cells,
)
from proof.crash_matrix.command import Matrix, MatrixReport, scenarios_to_run
from proof.crash_matrix.runs import CellResult
from proof.crash_matrix.scenarios import SCENARIOS, Scenario, ask_until_answered
from proof.harness.waiting import RequestFailed, WaitTimedOut


def call(action: str, service: str = "ec2", **params: str) -> dict[str, Any]:
    return {"service": service, "action": action, "params": params}


def test_a_question_repeated_until_its_answer_changes_is_one_place_and_is_counted() -> None:
    calls = [call("DescribeInstances", id="a")] * 3 + [call("DescribeInstances", id="b")]
    assert [place.nth for place in ec2_kill_points(calls)] == [1, 4]


def test_questions_about_several_things_by_turns_are_one_place_each_until_something_is_changed() -> None:
    turns = [call("DescribeInstances", id="a"), call("DescribeInstances", id="b")]
    places = ec2_kill_points([*turns * 3, call("AttachVolume", v="1"), *turns * 2])
    assert [(place.name, place.nth) for place in places] == [
        ("DescribeInstances", 1),
        ("DescribeInstances", 2),
        ("AttachVolume", 1),
        ("DescribeInstances", 7),
        ("DescribeInstances", 8),
    ]


def test_a_change_repeated_is_a_place_each_time_and_the_notice_queue_is_none() -> None:
    calls = [call("AttachVolume", v="1"), call("ReceiveMessage", "sqs"), call("AttachVolume", v="1")]
    assert [(place.name, place.nth) for place in ec2_kill_points(calls)] == [("AttachVolume", 1), ("AttachVolume", 2)]


def test_only_what_changes_something_is_given_up_at() -> None:
    places = ec2_kill_points([call("DescribeVpcs"), call("RunInstances", DryRun="true"), call("RunInstances", t="1")])
    cells = cells_of_scenario("switch-volumes", [*places, *db_kill_points(2)], cancels=True)
    assert [cell.name for cell in cells if cell.moment == GIVEN_UP] == ["switch-volumes/ec2/RunInstances#2/given-up"]
    assert sum(cell.moment == BEFORE for cell in cells) == sum(cell.moment == AFTER for cell in cells) == 5


def test_at_a_hook_the_worker_or_the_agent_dies() -> None:
    receipt = {"steps": [{"hooks": [{"name": "stop"}]}, {"hooks": [{"name": "health"}, {"name": "health"}]}]}
    cells = cells_of_scenario("switch-volumes", host_kill_points(receipt), cancels=True)
    assert [cell.name.partition("host/")[2] for cell in cells if cell.place.name == "health"] == [
        "health#1/before",
        "health#1/after",
        "health#1/before/agent",
        "health#1/after/agent",
    ]


def test_a_sample_is_drawn_from_its_seed_and_keeps_to_what_is_asked_for() -> None:
    cells = cells_of_scenario("promote", [KillPoint("ec2", "AttachVolume", n) for n in range(1, 9)], cancels=False)
    one, again, other = (select_cells(cells, "promote/ec2", 4, seed) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one) == 4
    assert select_cells(cells, "promote/db", 4, 1) == []
    assert select_cells(cells, "", 0, 1) == cells


def test_a_sample_is_of_a_few_operations_and_all_is_of_all() -> None:
    assert [scenario for scenario, _ in scenarios_to_run("", 0, 1)] == list(SCENARIOS)
    assert sum(count for _, count in scenarios_to_run("", 7, 3)) == 7
    assert [scenario.name for scenario, _ in scenarios_to_run("promote/ec2", 0, 1)] == ["promote"]
    assert {scenario.name for scenario, _ in scenarios_to_run("switch", 0, 1)} == {
        "switch-volumes",
        "switch-snapshot",
        "switch-stateless",
    }


def test_a_report_is_on_disk_with_every_cell_and_what_held_is_not_run_again(tmp_path: Path) -> None:
    cells = cells_of_scenario("promote", [KillPoint("ec2", "AttachVolume", n) for n in (1, 2)], cancels=False)
    begun = MatrixReport(tmp_path / "report.json", 1)
    begun.note(CellResult(cells[0].name, "committed", "", True, [], 9.5))
    begun.note(CellResult(cells[1].name, "", "", True, ["5: it never ended"]))

    resumed = MatrixReport.resumed(tmp_path / "report.json", 1)

    assert [row.cell for row in resumed.rows] == [cells[0].name]
    assert resumed.unknown(cells) == cells[1:]
    resumed.note(CellResult(cells[1].name, "committed", "", True))
    assert [one["wrong"] for one in json.loads((tmp_path / "report.json").read_text())["rows"]] == [[], []]


def test_an_operation_that_cannot_be_recorded_is_broken_what_it_leaves_is_kept_and_the_next_one_is_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs = tmp_path / "stack" / "log"

    def recorded(rig: object, scenario: Scenario) -> tuple[list[Cell], CellResult]:
        logs.mkdir(parents=True)
        (logs / "api.log").write_text(scenario.name)
        if scenario.name == "promote":
            raise RequestFailed("POST: HTTP 503", 503)
        return [], CellResult(f"{scenario.name}/undisturbed", "committed", "", True)

    monkeypatch.setattr("proof.crash_matrix.command.run_undisturbed", recorded)
    monkeypatch.setattr(Matrix, "_ready", lambda self: None)
    report = MatrixReport(tmp_path / "report.json", 1)
    matrix = Matrix(tmp_path / "stack", 1, time.monotonic() + 60, report)
    for scenario, _ in [*scenarios_to_run("promote", 0, 1), *scenarios_to_run("launch", 0, 1)]:
        matrix.run(scenario, "", 0)
    assert [(row.cell, row.broken) for row in report.rows] == [
        ("promote/undisturbed", ["5"]),
        ("launch/undisturbed", []),
    ]
    assert (tmp_path / "broken" / "promote.undisturbed" / "log" / "api.log").read_text() == "promote"
    assert (logs / "api.log").read_text() == "launch"


def test_a_request_that_is_never_answered_says_what_it_was_refused_with(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> str:
        raise RequestFailed("POST /api/servers/s/switch: HTTP 503 temporal_unavailable", 503)

    monkeypatch.setattr("proof.crash_matrix.scenarios._HEARD_S", 0.0)
    rig: Any = None
    with pytest.raises(
        WaitTimedOut, match=r"the request is answered: not within 0 s \(POST .*: HTTP 503 temporal_unav"
    ):
        ask_until_answered(rig, refused)


@pytest.mark.parametrize("there", [None, "", "[]", '{"rows": [{"cell": 1}]}'])
def test_there_has_to_be_a_report_to_go_on_with(tmp_path: Path, there: str | None) -> None:
    if there is not None:
        (tmp_path / "report.json").write_text(there)
    with pytest.raises(SystemExit, match="there is no report to resume"):
        MatrixReport.resumed(tmp_path / "report.json", 1)


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf", "ten", ""])
def test_a_run_that_has_no_time_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([f"--minutes={minutes}"])
    assert refused.value.code == 2
    assert f"{minutes!r} is no time to run; write minutes, more than 0: 10" in capsys.readouterr().err


@pytest.mark.parametrize("sample", ["-1", "some", "1.5"])
def test_a_sample_is_a_number_of_cells(sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main([f"--sample={sample}"])
    assert refused.value.code == 2
    assert f"{sample!r} is no number of cells" in capsys.readouterr().err


@pytest.mark.parametrize("only", ["swich-volumes", "launch-/ec2", "nothing/*"])
def test_a_scenario_that_is_not_there_is_refused_with_those_that_are(
    only: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(["--only", only])
    assert refused.value.code == 2
    assert "there are switch-volumes, " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("only", "code", "said"),
    [("launch/ec2", 0, "every invariant held in every run"), ("launch/ec3", 2, "no cell's name")],
)
def test_a_matrix_without_a_cell_has_shown_nothing(
    only: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = cells_of_scenario("launch", [KillPoint("ec2", "RunInstances", 1)], cancels=False)
    undisturbed = CellResult("launch/undisturbed", "committed", "", True)
    monkeypatch.setattr("proof.crash_matrix.command.run_undisturbed", lambda rig, scenario: (cells, undisturbed))
    monkeypatch.setattr(
        "proof.crash_matrix.command.run_cell", lambda rig, scenario, cell: CellResult(cell.name, "committed", "", True)
    )
    monkeypatch.setattr(Matrix, "_ready", lambda self: None)
    assert command.main(["--only", only, "--var", str(tmp_path)]) == code
    shown = capsys.readouterr().out
    assert said in shown
    assert ("held in every run" in shown) is (code == 0)
