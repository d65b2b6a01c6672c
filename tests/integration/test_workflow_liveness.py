"""Active servers without a workflow, found in the records of a real database; Temporal is a fake."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, update

from activities.reconciliation.finding_records import record_findings
from activities.reconciliation.workflow_liveness import WorkflowLiveness
from db.clients.clients import create_client
from db.engine.session import SessionFactory
from db.tables import Agent, DriftRow, Server
from domain.names import server_workflow_id
from domain.reconciliation import contract
from domain.reconciliation.drift import DriftAction, DriftKind
from domain.reconciliation.facts import GracePeriods
from tests.fleet_records import RecordedServer
from tests.integration.fake_temporal import FakeTemporal

pytest_plugins = ["tests.database_fixtures"]

REGION = "us-east-1"
NOW = datetime.now(UTC)
LOOKED = [f"{REGION}/workflow", f"{REGION}/watch"]
LONG_AGO = NOW - timedelta(hours=1)


@pytest.fixture
def temporal() -> FakeTemporal:
    return FakeTemporal()


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> RecordedServer:
    """One server, adopted an hour ago; no other is in the tables."""
    with sessions.begin() as session:
        session.execute(delete(Server))
        session.execute(delete(DriftRow))
    made = RecordedServer(sessions, client_id)
    made.adopt()
    changed(made, created_at=LONG_AGO)
    return made


def changed(fleet: RecordedServer, **values: object) -> None:
    with fleet.sessions.begin() as session:
        session.execute(update(Server).where(Server.id == fleet.server_id).values(**values))


def look(fleet: RecordedServer, temporal: FakeTemporal, *regions: str) -> contract.DriftSurvey:
    liveness = WorkflowLiveness(fleet.sessions, temporal, GracePeriods(gone_s=120), lambda: NOW)
    return asyncio.run(liveness.look(regions or (REGION,)))


def workflow(fleet: RecordedServer) -> str:
    return server_workflow_id(fleet.server_id)


def test_a_server_without_a_workflow_is_told_and_nothing_is_done_by_itself(
    fleet: RecordedServer, temporal: FakeTemporal
) -> None:
    [found] = look(fleet, temporal).findings
    assert (found.kind, found.action, found.resource_id) == (DriftKind.NO_WORKFLOW, DriftAction.REPORT, workflow(fleet))
    assert (found.client_id, found.server_id) == (fleet.client_id, fleet.server_id)
    temporal.closed = {workflow(fleet)}  # terminated by hand: Temporal still knows it
    assert look(fleet, temporal).findings == [found]


def test_a_workflow_that_the_list_does_not_show_yet_is_asked_for_by_its_id(
    fleet: RecordedServer, temporal: FakeTemporal
) -> None:
    temporal.runs = temporal.lagging = {workflow(fleet)}
    assert look(fleet, temporal).findings == []
    assert temporal.described == [workflow(fleet)]


def test_what_the_list_shows_costs_no_question_of_its_own(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    temporal.runs = {workflow(fleet)}
    assert look(fleet, temporal).findings == []
    assert temporal.described == []


def test_a_workflow_whose_tasks_fail_is_told_until_one_works(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    temporal.runs = temporal.failing = {workflow(fleet)}
    [found] = look(fleet, temporal).findings
    assert (found.kind, found.action, found.resource_id) == (
        DriftKind.STUCK_WORKFLOW,
        DriftAction.REPORT,
        workflow(fleet),
    )
    assert (
        record_findings(fleet.sessions, contract.ReportInput(look(fleet, temporal), contract.AtRestResult()), NOW).found
        == 1
    )
    temporal.failing = set()
    assert (
        record_findings(
            fleet.sessions, contract.ReportInput(look(fleet, temporal), contract.AtRestResult()), NOW
        ).resolved
        == 1
    )


def test_a_temporal_that_knows_of_no_such_thing_tells_none(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    temporal.runs, temporal.failing = {workflow(fleet)}, None
    surveyed = look(fleet, temporal)
    assert (surveyed.findings, surveyed.problems, surveyed.looked) == ([], [], LOOKED)


def test_a_server_adopted_a_moment_ago_is_left_alone(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    changed(fleet, created_at=NOW - timedelta(seconds=119))
    assert look(fleet, temporal).findings == []
    changed(fleet, created_at=NOW - timedelta(seconds=121))
    assert len(look(fleet, temporal).findings) == 1


def test_a_server_that_ends_while_it_is_looked_for_is_none(
    fleet: RecordedServer, temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends() -> None:
        changed(fleet, state="ended")

    monkeypatch.setattr(temporal, "answer", ends)
    assert look(fleet, temporal).findings == []
    assert temporal.described == [workflow(fleet)], "it was active when the look began"


def test_with_temporal_away_nothing_is_told_or_taken_back(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    without = contract.AtRestResult(without_workflow=[fleet.server_id])
    record_findings(fleet.sessions, contract.ReportInput(look(fleet, temporal), without), NOW)
    temporal.away = True
    surveyed = look(fleet, temporal)
    assert (surveyed.findings, surveyed.looked) == ([], [])
    assert surveyed.problems == ["Temporal did not say which servers' workflows run: connection refused"]
    assert record_findings(fleet.sessions, contract.ReportInput(surveyed, contract.AtRestResult()), NOW).resolved == 0


def test_a_look_that_took_long_rests_unless_it_is_asked_for_or_something_was_found(
    fleet: RecordedServer, temporal: FakeTemporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a large fleet's Temporal would be busy with the question whether it is there."""
    now = [NOW]
    monkeypatch.setattr(temporal, "answer", lambda: now.__setitem__(0, now[0] + timedelta(seconds=5)))
    liveness = WorkflowLiveness(fleet.sessions, temporal, GracePeriods(gone_s=120), lambda: now[0])

    def looked(after_s: float, **how: bool) -> tuple[list[str], list[DriftKind]]:
        now[0] += timedelta(seconds=after_s)
        surveyed = asyncio.run(liveness.look([REGION], **how))
        return surveyed.looked, [one.kind for one in surveyed.findings]

    temporal.runs = {workflow(fleet)}
    assert looked(0) == (LOOKED, [])
    rests_s = 50 * (now[0] - NOW).total_seconds()
    assert rests_s >= 250
    temporal.runs = set()
    assert looked(rests_s - 1) == ([], [])
    assert looked(1) == (LOOKED, [DriftKind.NO_WORKFLOW])
    assert looked(0) == (LOOKED, [DriftKind.NO_WORKFLOW]), "until it is mended every pass looks"
    temporal.runs = {workflow(fleet)}
    assert looked(0) == (LOOKED, [])
    temporal.runs = set()
    assert looked(rests_s - 1) == ([], [])
    assert looked(0, asked=True) == (LOOKED, [DriftKind.NO_WORKFLOW])


def test_a_region_that_is_not_looked_at_is_not_judged(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    surveyed = look(fleet, temporal, "eu-west-1")
    assert (surveyed.findings, surveyed.looked) == ([], ["eu-west-1/workflow", "eu-west-1/watch"])


def test_it_is_kept_beside_an_unfinished_operation_and_resolved_once_the_workflow_runs(
    fleet: RecordedServer, temporal: FakeTemporal
) -> None:
    """A server that has lost its workflow looks busy for ever: its operation will never end by itself."""
    without = contract.AtRestResult(without_workflow=[fleet.server_id])
    survey = contract.DriftSurvey(busy=[fleet.server_id]).after(look(fleet, temporal))
    assert record_findings(fleet.sessions, contract.ReportInput(survey, without), NOW).found == 1
    temporal.runs = {workflow(fleet)}
    survey = contract.DriftSurvey(busy=[fleet.server_id]).after(look(fleet, temporal))
    assert record_findings(fleet.sessions, contract.ReportInput(survey, contract.AtRestResult()), NOW).resolved == 1


def test_one_whose_workflow_answers_after_all_is_not_kept(fleet: RecordedServer, temporal: FakeTemporal) -> None:
    resting = contract.AtRestResult(at_rest=[fleet.server_id])
    assert record_findings(fleet.sessions, contract.ReportInput(look(fleet, temporal), resting), NOW).found == 0


# --- agents that take no watch


def agent(fleet: RecordedServer, instance_id: str, seen: datetime, due: datetime, client_id: str = "") -> None:
    with fleet.sessions.begin() as session:
        its = {"client_id": client_id or fleet.client_id, "instance_id": instance_id}
        session.execute(delete(Agent).where(Agent.instance_id == instance_id))
        session.add(Agent(**its, registered_at=LONG_AGO, seen_at=seen, due_at=due))


def unwatched(fleet: RecordedServer, temporal: FakeTemporal, *instance_ids: str) -> None:
    temporal.runs = {workflow(fleet)}
    temporal.memos = {workflow(fleet): {"unwatched": list(instance_ids)}} if instance_ids else {}


def kept(fleet: RecordedServer, temporal: FakeTemporal, **survey: Any) -> contract.ReportResult:
    surveyed = contract.DriftSurvey(looked=[f"{REGION}/instance"], **survey).after(look(fleet, temporal))
    return record_findings(
        fleet.sessions, contract.ReportInput(surveyed, contract.AtRestResult(at_rest=[fleet.server_id])), NOW
    )


def test_an_agent_that_lives_and_takes_no_watch_is_told_until_it_does(
    fleet: RecordedServer, temporal: FakeTemporal
) -> None:
    agent(fleet, "i-1", seen=NOW, due=NOW + timedelta(seconds=45))
    unwatched(fleet, temporal, "i-1")
    [found] = look(fleet, temporal).findings
    assert (found.kind, found.action, found.resource_id) == (DriftKind.UNWATCHED, DriftAction.REPORT, "i-1")
    assert (found.client_id, found.server_id) == (fleet.client_id, fleet.server_id)
    reported = kept(fleet, temporal)
    assert (reported.found, reported.due) == (1, [])
    temporal.away = True
    assert kept(fleet, temporal).resolved == 0, "nobody said that it is watched"
    temporal.away = False
    unwatched(fleet, temporal)
    assert kept(fleet, temporal).resolved == 1


@pytest.mark.parametrize(
    ("seen_s", "due_s", "told"),
    [(-121, -1, False), (-119, -1, True), (-400, 1, True)],
    ids=["silent: told as that", "just heard", "not due yet, in a large fleet"],
)
def test_only_one_that_is_heard_is_told(
    fleet: RecordedServer, temporal: FakeTemporal, seen_s: float, due_s: float, told: bool
) -> None:
    agent(fleet, "i-1", seen=NOW + timedelta(seconds=seen_s), due=NOW + timedelta(seconds=due_s))
    unwatched(fleet, temporal, "i-1")
    assert bool(look(fleet, temporal).findings) == told


def test_an_agent_of_another_client_on_that_instance_does_not_count(
    fleet: RecordedServer, temporal: FakeTemporal
) -> None:
    with fleet.sessions.begin() as session:
        create_client(session, "cli-other", "other", NOW)
    agent(fleet, "i-1", seen=NOW, due=NOW + timedelta(seconds=45), client_id="cli-other")
    unwatched(fleet, temporal, "i-1")
    assert look(fleet, temporal).findings == []
