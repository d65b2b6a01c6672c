"""Active servers without a workflow, found in the records of a real database; Temporal is a fake."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, update

from activities.reconciliation.attendance import Attendance
from activities.reconciliation.keeping import keep_all
from db.models import DriftRow, Server
from db.session import SessionFactory
from domain.names import server_workflow_id
from domain.reconciliation import contract
from domain.reconciliation.facts import Patience
from domain.reconciliation.finding import Action, FindingKind
from tests.fleetrecords import Fleet
from tests.integration.temporal_fake import FakeTemporal

pytest_plugins = ["tests.dbfixtures"]

REGION = "us-east-1"
NOW = datetime.now(UTC)
LONG_AGO = NOW - timedelta(hours=1)


@pytest.fixture
def temporal() -> FakeTemporal:
    return FakeTemporal()


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> Fleet:
    """One server, adopted an hour ago; no other is in the tables."""
    with sessions.begin() as session:
        session.execute(delete(Server))
        session.execute(delete(DriftRow))
    made = Fleet(sessions, client_id)
    made.adopt()
    changed(made, created_at=LONG_AGO)
    return made


def changed(fleet: Fleet, **values: object) -> None:
    with fleet.sessions.begin() as session:
        session.execute(update(Server).where(Server.id == fleet.server_id).values(**values))


def look(fleet: Fleet, temporal: FakeTemporal, *regions: str) -> contract.Surveyed:
    attendance = Attendance(fleet.sessions, temporal, Patience(gone_s=120), lambda: NOW)
    return asyncio.run(attendance.look(regions or (REGION,)))


def workflow(fleet: Fleet) -> str:
    return server_workflow_id(fleet.server_id)


def test_a_server_without_a_workflow_is_told_and_nothing_is_done_by_itself(
    fleet: Fleet, temporal: FakeTemporal
) -> None:
    [found] = look(fleet, temporal).findings
    assert (found.kind, found.action, found.resource_id) == (FindingKind.NO_WORKFLOW, Action.REPORT, workflow(fleet))
    assert (found.client_id, found.server_id) == (fleet.client_id, fleet.server_id)
    temporal.closed = {workflow(fleet)}  # terminated by hand: Temporal still knows it
    assert look(fleet, temporal).findings == [found]


def test_a_workflow_that_the_list_does_not_show_yet_is_asked_for_by_its_id(
    fleet: Fleet, temporal: FakeTemporal
) -> None:
    temporal.runs = temporal.lagging = {workflow(fleet)}
    assert look(fleet, temporal).findings == []
    assert temporal.described == [workflow(fleet)]


def test_what_the_list_shows_costs_no_question_of_its_own(fleet: Fleet, temporal: FakeTemporal) -> None:
    temporal.runs = {workflow(fleet)}
    assert look(fleet, temporal).findings == []
    assert temporal.described == []


def test_a_workflow_whose_tasks_fail_is_told_until_one_works(fleet: Fleet, temporal: FakeTemporal) -> None:
    temporal.runs = temporal.failing = {workflow(fleet)}
    [found] = look(fleet, temporal).findings
    assert (found.kind, found.action, found.resource_id) == (FindingKind.STUCK_WORKFLOW, Action.REPORT, workflow(fleet))
    assert keep_all(fleet.sessions, contract.Report(look(fleet, temporal), contract.Resting()), NOW).found == 1
    temporal.failing = set()
    assert keep_all(fleet.sessions, contract.Report(look(fleet, temporal), contract.Resting()), NOW).resolved == 1


def test_a_temporal_that_knows_of_no_such_thing_tells_none(fleet: Fleet, temporal: FakeTemporal) -> None:
    temporal.runs, temporal.failing = {workflow(fleet)}, None
    surveyed = look(fleet, temporal)
    assert (surveyed.findings, surveyed.problems, surveyed.looked) == ([], [], [f"{REGION}/workflow"])


def test_a_server_adopted_a_moment_ago_is_left_alone(fleet: Fleet, temporal: FakeTemporal) -> None:
    changed(fleet, created_at=NOW - timedelta(seconds=119))
    assert look(fleet, temporal).findings == []
    changed(fleet, created_at=NOW - timedelta(seconds=121))
    assert len(look(fleet, temporal).findings) == 1


def test_a_server_that_ends_while_it_is_looked_for_is_none(
    fleet: Fleet, temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends() -> None:
        changed(fleet, state="ended")

    monkeypatch.setattr(temporal, "answer", ends)
    assert look(fleet, temporal).findings == []
    assert temporal.described == [workflow(fleet)], "it was active when the look began"


def test_with_temporal_away_nothing_is_told_or_taken_back(fleet: Fleet, temporal: FakeTemporal) -> None:
    without = contract.Resting(without_workflow=[fleet.server_id])
    keep_all(fleet.sessions, contract.Report(look(fleet, temporal), without), NOW)
    temporal.away = True
    surveyed = look(fleet, temporal)
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert surveyed.problems == ["Temporal did not say which servers' workflows run: connection refused"]
    assert keep_all(fleet.sessions, contract.Report(surveyed, contract.Resting()), NOW).resolved == 0


def test_a_region_that_is_not_looked_at_is_not_judged(fleet: Fleet, temporal: FakeTemporal) -> None:
    surveyed = look(fleet, temporal, "eu-west-1")
    assert (surveyed.findings, surveyed.looked) == ([], ["eu-west-1/workflow"])


def test_it_is_kept_beside_an_unfinished_operation_and_resolved_once_the_workflow_runs(
    fleet: Fleet, temporal: FakeTemporal
) -> None:
    """A server that has lost its workflow looks busy for ever: its operation will never end by itself."""
    without = contract.Resting(without_workflow=[fleet.server_id])
    survey = contract.Surveyed(busy=[fleet.server_id]).after(look(fleet, temporal))
    assert keep_all(fleet.sessions, contract.Report(survey, without), NOW).found == 1
    temporal.runs = {workflow(fleet)}
    survey = contract.Surveyed(busy=[fleet.server_id]).after(look(fleet, temporal))
    assert keep_all(fleet.sessions, contract.Report(survey, contract.Resting()), NOW).resolved == 1


def test_one_whose_workflow_answers_after_all_is_not_kept(fleet: Fleet, temporal: FakeTemporal) -> None:
    resting = contract.Resting(at_rest=[fleet.server_id])
    assert keep_all(fleet.sessions, contract.Report(look(fleet, temporal), resting), NOW).found == 0
