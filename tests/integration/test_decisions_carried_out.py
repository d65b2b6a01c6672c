"""Decisions of the autopilot on their way to the server: asked for, checked once more, dropped, in each other's way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from db.autopilot.fleet import read_fleet
from db.autopilot.in_flight import count_under_way
from db.clients.clients import change_client
from db.engine.session import in_transaction
from db.tables import Instance, OperationStep, Server
from domain.autopilot import contract
from domain.autopilot.policy import ReplicaMode
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationKind
from tests.integration.autopilot_site import ON, PROPOSE, Site, cool_down, running_instances, running_switch, site
from tests.integration.lab_cloud import clean, cloud

__all__ = ["clean", "cloud", "running_instances", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


def test_a_decision_that_no_longer_holds_is_dropped_and_says_why(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.run_pass().asks
    site.ask(ask)
    assert site.reconsider(ask.decision_id) == contract.ReconsiderResult(True)
    cool_down(site, ask.pool)
    found = site.reconsider(ask.decision_id)
    assert not found.holds
    assert "the facts have changed: move/cheaper" in found.why
    [decision] = site.decisions(server)
    assert (decision.state, decision.why) == ("dropped", found.why)


def test_a_freeze_that_came_meanwhile_drops_the_decision(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.run_pass().asks
    site.ask(ask)
    site.policy(server, replace(ON, frozen=True))
    assert "held by frozen" in site.reconsider(ask.decision_id).why
    assert not site.reconsider("dec-none").holds


def test_an_approval_that_is_needed_by_now_drops_what_the_policy_had_let_pass(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.run_pass().asks
    site.ask(ask)
    site.policy(server, replace(ON, approval_needed=True))
    assert site.reconsider(ask.decision_id) == contract.ReconsiderResult(False, "it waits for approval now")


def test_what_a_person_approved_is_carried_out_as_theirs(site: Site) -> None:
    server = site.server(PROPOSE)
    site.run_pass()
    [proposed] = site.decisions(server)
    site.change_state(proposed.id, DecisionState.APPROVED, DecisionState.PROPOSED, by="tok-1")
    [ask] = site.run_pass().asks
    site.ask(ask)
    assert [(one.state, one.settled_by) for one in site.decisions(server)] == [("asked", "tok-1")]
    site.policy(server, replace(PROPOSE, min_saving=0.99))
    assert site.reconsider(ask.decision_id).holds, "they have seen what it saves"
    site.policy(server, replace(PROPOSE, frozen=True))
    assert site.reconsider(ask.decision_id).why == "held by frozen", "a later word than theirs"


def test_a_server_that_refuses_or_has_ended_is_told_in_the_decision(site: Site) -> None:
    first, second = site.server(ON), site.server(ON)
    asks = {one.server_id: one for one in site.run_pass().asks}
    site.workflows.error = WorkflowUpdateFailedError(ApplicationError("it is in that pool", type="same_pool"))
    assert site.ask(asks[first]) == ""
    site.workflows.error = RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
    assert site.ask(asks[second]) == ""
    assert "it is in that pool" in site.decisions(first)[0].why
    assert site.decisions(second)[0].why == "the server has ended"


def test_a_decision_ends_with_its_server(site: Site) -> None:
    server = site.server(ON)
    site.run_pass()
    site.change(update(Server).where(Server.id == server).values(state="ended"))
    assert site.run_pass().asks == []
    assert [(one.state, one.why) for one in site.decisions(server)] == [("dropped", "the server has ended")]


def test_temporal_away_leaves_the_decision_for_the_next_pass(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.run_pass().asks
    site.workflows.error = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    with pytest.raises(RPCError):
        site.ask(ask)
    assert site.decisions(server)[0].state == "approved"
    assert site.run_pass().asks == [ask]


@pytest.mark.parametrize("how_far", ["approved", "asked", "running"])
def test_who_is_on_its_way_has_its_place_there_already(site: Site, how_far: str) -> None:
    """Half of two servers may be in one pool: the second finds it full while the first is still on its way."""
    limits, now = {"most_per_pool": 0.5}, datetime.now(UTC)
    in_transaction(site.sessions, lambda s: change_client(s, site.client_id, now, autopilot={}, limits=limits))
    site.server(ON)
    [first] = site.run_pass().asks
    if how_far != "approved":
        operation = site.ask(first)
    if how_far == "running":
        with site.sessions.begin() as session:
            session.add(running_switch(operation, first.server_id, site.client_id, first.pool))
    second = site.server(ON)
    [other] = [ask for ask in site.run_pass().asks if ask.server_id == second]
    assert other.pool != first.pool
    assert site.reconsider(other.decision_id).holds
    found: contract.PreviewResult = site.run(site.autopilot.preview, contract.PreviewInput(second))
    assert found.to_pool == other.pool, "so it is where a decision is looked at once more"


def test_who_is_on_its_way_to_spot_is_no_longer_of_the_share_on_demand(site: Site) -> None:
    limits, now = {"least_on_demand": 0.5}, datetime.now(UTC)
    site.server(ON)
    [first] = site.run_pass().asks
    in_transaction(site.sessions, lambda s: change_client(s, site.client_id, now, autopilot={}, limits=limits))
    second = site.server(ON)
    assert [ask.server_id for ask in site.run_pass().asks] == [first.server_id]
    assert site.decisions(second)[0].reason == "on_demand_share"


def test_a_decision_that_has_no_operation_yet_takes_its_room(site: Site) -> None:
    site.run_pass()  # what other tests have left under way is settled by a pass
    with site.sessions() as session:
        room_for_one = sum(count_under_way(session).values()) + 1
    site.server(ON)
    [first] = site.run_pass(room_for_one).asks
    second = site.server(ON)
    assert [ask.server_id for ask in site.run_pass(room_for_one).asks] == [first.server_id]
    assert site.decisions(second)[0].held_by == "fleet_limit"


def test_a_switch_that_only_keeps_the_old_instance_holds_up_nobody_else_and_nothing_but_ordinary_moves(
    site: Site,
) -> None:
    moved = site.server(ON)
    [ask] = site.run_pass().asks
    operation, now = site.ask(ask), datetime.now(UTC)
    with site.sessions.begin() as session:
        before = sum(count_under_way(session).values()) - 1
        session.add(running_switch(operation, moved, site.client_id, ask.pool, to_pool=ask.pool))
        session.execute(update(Instance).where(Instance.server_id == moved).values(pool=ask.pool))
    with site.sessions.begin() as session:
        assert sum(count_under_way(session).values()) == before + 1
        session.add(OperationStep(operation_id=operation, position=9, name="retire", started_at=now))
    site.run_pass()
    assert site.decisions(moved)[0].state == "done", "it has committed"
    with site.sessions() as session:
        assert sum(count_under_way(session).values()) == before
        [row] = [one for one in read_fleet(session) if one.server_id == moved]
    assert (row.busy, row.keeps_old_instance) == (False, True)
    site.policy(moved, replace(ON, replica=ReplicaMode.ALWAYS))
    [replica] = [one for one in site.run_pass().asks if one.server_id == moved]
    assert replica.kind is OperationKind.REPLICA_CREATE
