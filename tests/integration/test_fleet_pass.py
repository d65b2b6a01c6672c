"""A pass of the autopilot on the lab's market and a real database: what it decides, keeps, and asks for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from activities.autopilot import fleet_pass
from api.requests.policies import _WISH
from db.autopilot.decisions import expire_decisions
from db.clients.clients import change_client
from db.engine.session import SessionFactory, in_transaction
from db.tables import DecisionRow, Event, ExperienceRow, Instance, Operation
from domain.autopilot import contract
from domain.autopilot.policy import AutopilotPreferences, ReplicaMode
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationKind
from tests.database_schemas import unique
from tests.integration.autopilot_site import ON, PROPOSE, Site, cool_down, finished_operation, running_instances, site
from tests.integration.lab_cloud import REGION, A, clean, cloud

__all__ = ["clean", "cloud", "running_instances", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


def test_a_server_that_nobody_released_is_decided_for_and_not_touched(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    done = site.run_pass()
    assert (done.servers, done.asks, done.proposals) == (1, [], [])
    [decision] = site.decisions(server)
    assert (decision.kind, decision.held_by, decision.state) == ("move", "off", "noted")


def test_the_same_decision_is_counted_and_not_written_again(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    for _ in range(3):
        site.run_pass()
    [decision] = site.decisions(server)
    assert decision.times == 3
    assert decision.last_at > decision.at


def test_a_move_is_asked_for_once_and_followed_to_its_end(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.run_pass().asks
    assert (ask.server_id, ask.kind, ask.priority) == (server, OperationKind.SWITCH, 25)
    operation = site.ask(ask)
    assert site.ask(ask) == operation, "the same decision is the same request"
    assert {(one.request_id, one.pool, one.requested_by) for one in site.workflows.asked} == {
        (ask.decision_id, ask.pool, "autopilot")
    }
    assert site.run_pass().asks == [], "it is under way"
    now = datetime.now(UTC)
    with site.sessions.begin() as session:
        session.add(
            Operation(
                id=operation,
                server_id=server,
                client_id=site.client_id,
                kind="switch",
                priority=25,
                status="committed",
                requested_by="autopilot",
                requested_at=now,
                finished_at=now,
            )
        )
        session.execute(update(Instance).where(Instance.server_id == server).values(pool=ask.pool))
    site.run_pass()
    first, after = site.decisions(server)
    assert (first.state, first.operation_id, after.kind) == ("done", operation, "stay")
    with site.sessions() as session:
        told = session.scalars(select(Event.type).where(Event.server_id == server).order_by(Event.seq)).all()
    assert told == ["decision.approved", "decision.asked", "decision.done"]


def test_in_propose_the_decision_waits_with_its_plan(site: Site) -> None:
    server = site.server(PROPOSE)
    done = site.run_pass()
    [proposal] = done.proposals
    assert done.asks == []
    assert proposal.plan.pool == site.decisions(server)[0].to_pool
    site.run(site.autopilot.keep_plan, contract.KeepPlanInput(proposal.decision_id, problem="no subnet"))
    assert site.decisions(server)[0].figures["plan_problem"] == "no subnet"
    assert site.run_pass().proposals == [], "it waits already"
    assert site.decisions(server)[0].times == 2


def test_a_pass_makes_a_few_plans_and_the_next_ones_the_rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_pass, "_MOST_PLANS", 2)
    servers = {site.server(PROPOSE) for _ in range(3)}
    first = site.run_pass().proposals
    assert len(first) == 2
    site.run(site.autopilot.keep_plan, contract.KeepPlanInput(first[0].decision_id, problem="no subnet"))
    again = site.run_pass().proposals
    assert first[1] in again, "a plan that was not kept is made again"
    assert {one.plan.server.server_id for one in (*first, *again)} == servers
    for one in again:
        site.run(site.autopilot.keep_plan, contract.KeepPlanInput(one.decision_id, problem="no subnet"))
    assert site.run_pass().proposals == []


def test_a_proposal_gives_way_when_the_market_changes(site: Site) -> None:
    server = site.server(PROPOSE)
    site.run_pass()
    pool = site.decisions(server)[0].to_pool
    cool_down(site, pool)
    site.run_pass()
    old, new = site.decisions(server)
    assert (old.state, new.state) == ("expired", "proposed")
    assert new.to_pool != pool
    assert new.to_pool in old.why


def test_what_came_to_nothing_is_forgotten_and_what_was_done_is_not(site: Site, sessions: SessionFactory) -> None:
    server, other = site.server(PROPOSE), site.server(PROPOSE)
    site.run_pass()
    [acted] = site.decisions(other)
    with sessions.begin() as session:
        row = session.get_one(DecisionRow, acted.id)
        row.state, row.operation_id, row.latest_server_id = "done", "op-of-it", None
    pool = site.decisions(server)[0].to_pool
    cool_down(site, pool)
    site.run_pass()
    old, new = site.decisions(server)
    assert old.state == "expired"
    expire_decisions(sessions, old.at)
    assert [one.id for one in site.decisions(server)] == [old.id, new.id], "not older than that"
    later = datetime.now(UTC) + timedelta(days=1)
    assert expire_decisions(sessions, later) >= 1
    assert [one.id for one in site.decisions(server)] == [new.id], "open, and the latest"
    assert acted.id in {one.id for one in site.decisions(other)}


def test_what_was_rejected_is_not_proposed_again_for_a_day(site: Site) -> None:
    server = site.server(PROPOSE)
    site.run_pass()
    [first] = site.decisions(server)
    site.change_state(first.id, DecisionState.REJECTED, DecisionState.PROPOSED)
    site.run_pass()
    site.run_pass()
    assert [one.held_by for one in site.decisions(server)] == ["", "tried"]
    long_ago = datetime.now(UTC) - timedelta(days=2)
    site.change(update(DecisionRow).where(DecisionRow.id == first.id).values(settled_at=long_ago))
    site.run_pass()
    assert site.decisions(server)[-1].state == "proposed"


def test_the_clients_preferences_hold_for_servers_that_say_nothing(site: Site) -> None:
    server = site.server(AutopilotPreferences())
    wish = _WISH.dump_python(ON, mode="json", exclude_none=True)
    now = datetime.now(UTC)
    in_transaction(
        site.sessions,
        lambda s: change_client(s, site.client_id, now, autopilot=wish, limits={"most_per_pool": 0.5}),
    )
    [ask] = site.run_pass().asks
    assert ask.server_id == server


def test_a_busy_server_is_left_alone(site: Site) -> None:
    server, now = site.server(ON), datetime.now(UTC)
    with site.sessions.begin() as session:
        session.add(
            Operation(
                id=unique("op"),
                server_id=server,
                client_id=site.client_id,
                kind="switch",
                status="running",
                requested_at=now,
            )
        )
    assert site.run_pass().asks == []
    assert site.decisions(server)[0].held_by == "busy"


def test_what_is_learnt_is_kept_for_the_next_pass(site: Site) -> None:
    site.server(ON)
    site.run_pass()
    with site.sessions() as session:
        [first] = session.scalars(select(ExperienceRow)).all()
    site.run_pass()
    with site.sessions() as session:
        [second] = session.scalars(select(ExperienceRow)).all()
    assert (second.key, second.needs) == (first.key, first.needs)
    assert second.at > first.at


def test_a_replica_is_asked_for_and_dropped_by_the_wish_alone(site: Site) -> None:
    always = AutopilotPreferences(replica=ReplicaMode.ALWAYS)
    server = site.server(always)
    [ask] = site.run_pass().asks
    assert (ask.kind, ask.priority, ask.keep_old_s) == (OperationKind.REPLICA_CREATE, 25, 0.0)
    assert site.reconsider(ask.decision_id).holds
    operation, replica, now = site.ask(ask), unique("i"), datetime.now(UTC)
    with site.sessions.begin() as session:
        session.add(finished_operation(operation, server, site.client_id, "replica_create", "autopilot"))
        session.add(
            Instance(id=replica, server_id=server, client_id=site.client_id, state="running_replica", role="replica",
                     pool=ask.pool, region=REGION, zone=A, operation_id=operation, created_at=now, updated_at=now)
        )  # fmt: skip
    assert site.run_pass().asks == [], "it has its replica"
    site.policy(server, AutopilotPreferences())
    [drop] = site.run_pass().asks
    assert (drop.kind, drop.pool) == (OperationKind.REPLICA_DROP, "")
    assert site.reconsider(drop.decision_id).holds


def test_a_look_shows_what_would_be_decided_and_keeps_nothing(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    found: contract.PreviewResult = site.run(site.autopilot.preview, contract.PreviewInput(server, candidates=3))
    assert (found.kind, found.held_by, found.problem) == ("move", "off", "")
    assert found.to_pool == found.figures["candidates"][0]["pool"]
    assert len(found.figures["candidates"]) == 3
    assert site.decisions(server) == []
    assert site.run(site.autopilot.preview, contract.PreviewInput("srv-none")).problem


def test_an_instance_that_ec2_does_not_know_is_nobodys_to_move(site: Site) -> None:
    server = site.server(ON)
    site.change(update(Instance).where(Instance.server_id == server).values(id="i-0123456789abcdef0"))
    assert site.run_pass().servers == 0


def test_a_region_whose_ec2_fails_is_skipped_with_the_reason(site: Site) -> None:
    site.server(ON)
    site.cloud.post("/faults", action="DescribeInstances", kind="fail", code="UnauthorizedOperation", times=10)
    done = site.run_pass()
    assert done.servers == 0
    assert list(done.skipped) == [REGION]


def test_the_stay_of_a_promoted_server_begins_with_its_promotion(site: Site) -> None:
    server, now = site.server(replace(ON, minimum_stay_h=2)), datetime.now(UTC)
    long_ago, lately = now - timedelta(days=3), now - timedelta(hours=1)
    roles = [[long_ago.isoformat(), "replica"], [lately.isoformat(), "primary"]]
    placed = update(Instance).where(Instance.server_id == server)
    site.change(placed.values(launch_confirmed_at=long_ago, roles=roles))
    assert site.run_pass().asks == []
    assert site.decisions(server)[0].reason == "minimum_stay"
    site.change(placed.values(roles=[[long_ago.isoformat(), "primary"]]))
    assert [ask.server_id for ask in site.run_pass().asks] == [server]
