"""The autopilot on the lab's market and a real database: what it decides, keeps, and asks for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select, update
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import ActivityEnvironment

from activities.autopilot import fleet_pass
from activities.autopilot.activity import AutopilotActivities
from api.requests.policies import _WISH
from db.autopilot.decisions import change_decision_state, expire_decisions
from db.autopilot.fleet import count_under_way, read_fleet
from db.clients.clients import change_client
from db.engine.session import SessionFactory, in_transaction
from db.market.pool_facts import append_pool_facts
from db.market.pool_prices import mark_collected, store_spot_prices
from db.tables import (
    DecisionRow,
    Event,
    ExperienceRow,
    Instance,
    Operation,
    OperationStep,
    PoolFactRow,
    PoolRow,
    PriceCollection,
    Server,
)
from domain.autopilot import contract
from domain.autopilot.move_cost import SNAPSHOT_USD_PER_GIB_H
from domain.autopilot.policy import AutopilotPreferences, AutoSwitch, ReplicaWish
from domain.autopilot.policy_gates import DecisionState
from domain.ec2 import SURVEY, SurveyInput, SurveyResult
from domain.market.contract import spot_collection
from domain.market.observed_prices import PriceBounds as Checked
from domain.market.observed_prices import PriceSource, ReportedPrice
from domain.market.pool_facts import PoolFact, PoolFactKind
from domain.operations import AcceptedRequest, OperationKind, OperationRequest
from domain.planning import compose_plan
from domain.pools import Pool
from domain.servers import Handoff, ServerPolicy
from tests.database_schemas import unique
from tests.integration.lab_cloud import REGION, A, Cloud, clean, cloud

__all__ = ["clean", "cloud"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]

HOME = f"{A}/m5.large/on-demand"
ON = AutopilotPreferences(auto_switch=AutoSwitch.ON, minimum_stay_h=0)
PROPOSE = replace(ON, auto_switch=AutoSwitch.PROPOSE)


class FakeWorkflows:
    """The servers' workflows, as the autopilot asks them."""

    def __init__(self) -> None:
        self.asked: list[OperationRequest] = []
        self.error: Exception | None = None

    def get_workflow_handle(self, workflow_id: str) -> Any:
        return self

    async def execute_update(self, name: str, request: OperationRequest, **_: Any) -> AcceptedRequest:
        if self.error:
            raise self.error
        self.asked.append(request)
        return AcceptedRequest(f"op-{request.request_id}")


@dataclass
class Site:
    """One client's fleet, and the autopilot over it."""

    sessions: SessionFactory
    client_id: str
    cloud: Cloud
    workflows: FakeWorkflows = field(default_factory=FakeWorkflows)

    def __post_init__(self) -> None:
        self.autopilot = AutopilotActivities(self.sessions, self.cloud.clients, self.workflows)

    def server(self, wish: AutopilotPreferences, handoff: Handoff = Handoff.STATELESS, **policy: Any) -> str:
        """With a data volume of 10 GiB, unless it is stateless: adoption lets nobody have that with one."""
        bare: dict[str, Any] = {"BlockDeviceMappings": None} if handoff is Handoff.STATELESS else {}
        server_id, instance_id, now = unique("srv"), self.cloud.original(**bare), datetime.now(UTC)
        kept = asdict(ServerPolicy(handoff=handoff, autopilot=wish, **policy))
        with self.sessions.begin() as session:
            session.add(
                Server(
                    id=server_id,
                    client_id=self.client_id,
                    name=server_id,
                    region=REGION,
                    handoff="stateless",
                    policy=kept,
                    created_at=now,
                    updated_at=now,
                )
            )
            session.add(
                Instance(
                    id=instance_id,
                    server_id=server_id,
                    client_id=self.client_id,
                    state="running_primary",
                    role="primary",
                    pool=HOME,
                    region=REGION,
                    zone=A,
                    instance_type="m5.large",
                    created_at=now,
                    updated_at=now,
                )
            )
        return server_id

    def run(self, activity: Callable[..., Any], given: object) -> Any:
        return ActivityEnvironment().run(activity, given)

    def round(self, most_moves: int = 20) -> contract.EvaluateResult:
        found: contract.EvaluateResult = self.run(self.autopilot.evaluate, contract.EvaluateInput(most_moves))
        return found

    def ask(self, one: contract.AskServerInput) -> str:
        found: str = asyncio.run(self.run(self.autopilot.ask, one))
        return found

    def reconsider(self, decision_id: str) -> contract.ReconsiderResult:
        found: contract.ReconsiderResult = self.run(self.autopilot.reconsider, contract.ReconsiderInput(decision_id))
        return found

    def decisions(self, server_id: str) -> list[DecisionRow]:
        with self.sessions() as session:
            query = select(DecisionRow).where(DecisionRow.server_id == server_id).order_by(DecisionRow.at)
            return list(session.scalars(query))

    def change(self, statement: Any) -> None:
        with self.sessions.begin() as session:
            session.execute(statement)

    def policy(self, server_id: str, wish: AutopilotPreferences) -> None:
        kept = asdict(ServerPolicy(autopilot=wish))
        self.change(update(Server).where(Server.id == server_id).values(policy=kept, version=Server.version + 1))

    def settle(self, decision_id: str, state: DecisionState, *expected: DecisionState, by: str = "autopilot") -> None:
        now = datetime.now(UTC)
        done = in_transaction(
            self.sessions, lambda s: change_decision_state(s, decision_id, state, now, by=by, expected=expected)
        )
        assert done is not None


@pytest.fixture
def site(sessions: SessionFactory, client_id: str, clean: Cloud) -> Iterator[Site]:
    yield Site(sessions, client_id, clean)
    with sessions.begin() as session:
        session.execute(update(Server).values(state="ended"))
        for table in (PoolRow, PoolFactRow, ExperienceRow, PriceCollection):
            session.execute(delete(table))


def test_a_server_that_nobody_released_is_decided_for_and_not_touched(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    done = site.round()
    assert (done.servers, done.asks, done.proposals) == (1, [], [])
    [decision] = site.decisions(server)
    assert (decision.kind, decision.held_by, decision.state) == ("move", "off", "noted")


def test_the_same_decision_is_counted_and_not_written_again(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    for _ in range(3):
        site.round()
    [decision] = site.decisions(server)
    assert decision.times == 3
    assert decision.last_at > decision.at


def test_a_move_is_asked_for_once_and_followed_to_its_end(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.round().asks
    assert (ask.server_id, ask.kind, ask.priority) == (server, OperationKind.SWITCH, 25)
    operation = site.ask(ask)
    assert site.ask(ask) == operation, "the same decision is the same request"
    assert {(one.request_id, one.pool, one.requested_by) for one in site.workflows.asked} == {
        (ask.decision_id, ask.pool, "autopilot")
    }
    assert site.round().asks == [], "it is under way"
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
    site.round()
    first, after = site.decisions(server)
    assert (first.state, first.operation_id, after.kind) == ("done", operation, "stay")
    with site.sessions() as session:
        told = session.scalars(select(Event.type).where(Event.server_id == server).order_by(Event.seq)).all()
    assert told == ["decision.approved", "decision.asked", "decision.done"]


def test_in_propose_the_decision_waits_with_its_plan(site: Site) -> None:
    server = site.server(PROPOSE)
    done = site.round()
    [proposal] = done.proposals
    assert done.asks == []
    assert proposal.plan.pool == site.decisions(server)[0].to_pool
    site.run(site.autopilot.keep_plan, contract.KeepPlanInput(proposal.decision_id, problem="no subnet"))
    assert site.decisions(server)[0].figures["plan_problem"] == "no subnet"
    assert site.round().proposals == [], "it waits already"
    assert site.decisions(server)[0].times == 2


def test_a_pass_makes_a_few_plans_and_the_next_ones_the_rest(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_pass, "_MOST_PLANS", 2)
    servers = {site.server(PROPOSE) for _ in range(3)}
    first = site.round().proposals
    assert len(first) == 2
    site.run(site.autopilot.keep_plan, contract.KeepPlanInput(first[0].decision_id, problem="no subnet"))
    again = site.round().proposals
    assert first[1] in again, "a plan that was not kept is made again"
    assert {one.plan.server.server_id for one in (*first, *again)} == servers
    for one in again:
        site.run(site.autopilot.keep_plan, contract.KeepPlanInput(one.decision_id, problem="no subnet"))
    assert site.round().proposals == []


def test_a_proposal_gives_way_when_the_market_changes(site: Site) -> None:
    server = site.server(PROPOSE)
    site.round()
    pool = site.decisions(server)[0].to_pool
    _rest(site, pool)
    site.round()
    old, new = site.decisions(server)
    assert (old.state, new.state) == ("expired", "proposed")
    assert new.to_pool != pool
    assert new.to_pool in old.why


def test_what_came_to_nothing_is_forgotten_and_what_was_done_is_not(site: Site, sessions: SessionFactory) -> None:
    server, other = site.server(PROPOSE), site.server(PROPOSE)
    site.round()
    [acted] = site.decisions(other)
    with sessions.begin() as session:
        row = session.get_one(DecisionRow, acted.id)
        row.state, row.operation_id, row.latest_server_id = "done", "op-of-it", None
    pool = site.decisions(server)[0].to_pool
    _rest(site, pool)
    site.round()
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
    site.round()
    [first] = site.decisions(server)
    site.settle(first.id, DecisionState.REJECTED, DecisionState.PROPOSED)
    site.round()
    site.round()
    assert [one.held_by for one in site.decisions(server)] == ["", "tried"]
    long_ago = datetime.now(UTC) - timedelta(days=2)
    site.change(update(DecisionRow).where(DecisionRow.id == first.id).values(settled_at=long_ago))
    site.round()
    assert site.decisions(server)[-1].state == "proposed"


def test_a_decision_that_no_longer_holds_is_dropped_and_says_why(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.round().asks
    site.ask(ask)
    assert site.reconsider(ask.decision_id) == contract.ReconsiderResult(True)
    _rest(site, ask.pool)
    found = site.reconsider(ask.decision_id)
    assert not found.holds
    assert "the facts have changed: move/cheaper" in found.why
    [decision] = site.decisions(server)
    assert (decision.state, decision.why) == ("dropped", found.why)


def test_a_freeze_that_came_meanwhile_drops_the_decision(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.round().asks
    site.ask(ask)
    site.policy(server, replace(ON, frozen=True))
    assert "held by frozen" in site.reconsider(ask.decision_id).why
    assert not site.reconsider("dec-none").holds


def test_an_approval_that_is_needed_by_now_drops_what_the_policy_had_let_pass(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.round().asks
    site.ask(ask)
    site.policy(server, replace(ON, approval_needed=True))
    assert site.reconsider(ask.decision_id) == contract.ReconsiderResult(False, "it waits for approval now")


def test_what_a_person_approved_is_carried_out_as_theirs(site: Site) -> None:
    server = site.server(PROPOSE)
    site.round()
    [proposed] = site.decisions(server)
    site.settle(proposed.id, DecisionState.APPROVED, DecisionState.PROPOSED, by="tok-1")
    [ask] = site.round().asks
    site.ask(ask)
    assert [(one.state, one.settled_by) for one in site.decisions(server)] == [("asked", "tok-1")]
    site.policy(server, replace(PROPOSE, min_saving=0.99))
    assert site.reconsider(ask.decision_id).holds, "they have seen what it saves"
    site.policy(server, replace(PROPOSE, frozen=True))
    assert site.reconsider(ask.decision_id).why == "held by frozen", "a later word than theirs"


def test_a_server_that_refuses_or_has_ended_is_told_in_the_decision(site: Site) -> None:
    first, second = site.server(ON), site.server(ON)
    asks = {one.server_id: one for one in site.round().asks}
    site.workflows.error = WorkflowUpdateFailedError(ApplicationError("it is in that pool", type="same_pool"))
    assert site.ask(asks[first]) == ""
    site.workflows.error = RPCError("gone", RPCStatusCode.NOT_FOUND, b"")
    assert site.ask(asks[second]) == ""
    assert "it is in that pool" in site.decisions(first)[0].why
    assert site.decisions(second)[0].why == "the server has ended"


def test_a_decision_ends_with_its_server(site: Site) -> None:
    server = site.server(ON)
    site.round()
    site.change(update(Server).where(Server.id == server).values(state="ended"))
    assert site.round().asks == []
    assert [(one.state, one.why) for one in site.decisions(server)] == [("dropped", "the server has ended")]


def test_temporal_away_leaves_the_decision_for_the_next_round(site: Site) -> None:
    server = site.server(ON)
    [ask] = site.round().asks
    site.workflows.error = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    with pytest.raises(RPCError):
        site.ask(ask)
    assert site.decisions(server)[0].state == "approved"
    assert site.round().asks == [ask]


def test_the_clients_wish_holds_for_servers_that_say_nothing(site: Site) -> None:
    server = site.server(AutopilotPreferences())
    wish = _WISH.dump_python(ON, mode="json", exclude_none=True)
    now = datetime.now(UTC)
    in_transaction(
        site.sessions,
        lambda s: change_client(s, site.client_id, now, autopilot=wish, limits={"most_per_pool": 0.5}),
    )
    [ask] = site.round().asks
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
    assert site.round().asks == []
    assert site.decisions(server)[0].held_by == "busy"


def test_only_pools_the_server_can_run_in_are_looked_at(site: Site) -> None:
    narrow = site.server(ON, instance_types=["m5.large"], zones=[A])
    [ask] = site.round().asks
    assert ask.pool == f"{A}/m5.large/spot"
    [decision] = site.decisions(narrow)
    assert [one["pool"] for one in decision.figures["candidates"]] == [ask.pool]


def test_a_price_comes_from_the_records_and_from_ec2_only_where_they_have_none(site: Site) -> None:
    server, now, pool = site.server(ON, instance_types=["m5.large"]), datetime.now(UTC), f"{A}/m5.large/spot"
    with site.sessions.begin() as session:
        store_spot_prices(
            session, [ReportedPrice(REGION, A, "m5.large", now, "0.000123")], PriceSource.EC2, Checked(now), now
        )
        mark_collected(session, spot_collection(REGION), now)
    site.cloud.post("/faults", action="DescribeSpotPriceHistory", kind="fail", code="UnauthorizedOperation", times=10)
    [ask] = site.round().asks
    assert ask.pool == pool
    assert site.decisions(server)[0].figures["cost_then_usd_per_h"] < 0.01


def test_a_price_of_a_clock_ahead_of_ours_does_not_stop_the_round(site: Site) -> None:
    server, now = site.server(ON, instance_types=["m5.large"]), datetime.now(UTC)
    ahead = ReportedPrice(REGION, A, "m5.large", now + timedelta(seconds=50), "0.000123")
    in_transaction(site.sessions, lambda s: store_spot_prices(s, [ahead], PriceSource.EC2, Checked(now), now))
    assert [one.server_id for one in site.round().asks] == [server], "the region is not collected, so EC2 was asked"


def test_what_was_lived_through_in_a_pool_sends_servers_elsewhere(site: Site) -> None:
    first = site.server(ON, instance_types=["m5.large"])
    [ask] = site.round().asks
    losses = [
        PoolFact(unique("f"), REGION, Pool.parse(ask.pool), PoolFactKind.LOST, datetime.now(UTC) - timedelta(hours=h))
        for h in (2, 4, 6)
    ]
    in_transaction(site.sessions, lambda s: append_pool_facts(s, losses))
    assert "the facts have changed" in site.reconsider(ask.decision_id).why, "the same facts, by the same path"
    site.change(update(Server).where(Server.id == first).values(state="ended"))
    second = site.server(ON, instance_types=["m5.large"])
    site.round()
    [decision] = site.decisions(second)
    assert decision.to_pool != ask.pool
    shown = {one["pool"]: one for one in decision.figures["candidates"]}
    assert shown[ask.pool]["own_history"]
    assert shown[ask.pool]["losses"] > 2


def test_what_is_learnt_is_kept_for_the_next_round(site: Site) -> None:
    site.server(ON)
    site.round()
    with site.sessions() as session:
        [first] = session.scalars(select(ExperienceRow)).all()
    site.round()
    with site.sessions() as session:
        [second] = session.scalars(select(ExperienceRow)).all()
    assert (second.key, second.needs) == (first.key, first.needs)
    assert second.at > first.at


def test_a_replica_is_asked_for_and_dropped_by_the_wish_alone(site: Site) -> None:
    always = AutopilotPreferences(replica=ReplicaWish.ALWAYS)
    server = site.server(always)
    [ask] = site.round().asks
    assert (ask.kind, ask.priority, ask.keep_old_s) == (OperationKind.REPLICA_CREATE, 25, 0.0)
    assert site.reconsider(ask.decision_id).holds
    operation, replica, now = site.ask(ask), unique("i"), datetime.now(UTC)
    with site.sessions.begin() as session:
        session.add(_operation(operation, server, site.client_id, "replica_create", "autopilot"))
        session.add(
            Instance(id=replica, server_id=server, client_id=site.client_id, state="running_replica", role="replica",
                     pool=ask.pool, region=REGION, zone=A, operation_id=operation, created_at=now, updated_at=now)
        )  # fmt: skip
    assert site.round().asks == [], "it has its replica"
    site.policy(server, AutopilotPreferences())
    [drop] = site.round().asks
    assert (drop.kind, drop.pool) == (OperationKind.REPLICA_DROP, "")
    assert site.reconsider(drop.decision_id).holds


def test_a_look_shows_what_would_be_decided_and_keeps_nothing(site: Site) -> None:
    server = site.server(AutopilotPreferences(minimum_stay_h=0))
    found: contract.PreviewResult = site.run(site.autopilot.look, contract.PreviewInput(server, candidates=3))
    assert (found.kind, found.held_by, found.problem) == ("move", "off", "")
    assert found.to_pool == found.figures["candidates"][0]["pool"]
    assert len(found.figures["candidates"]) == 3
    assert site.decisions(server) == []
    assert site.run(site.autopilot.look, contract.PreviewInput("srv-none")).problem


@pytest.mark.parametrize("how_far", ["approved", "asked", "running"])
def test_who_is_on_its_way_has_its_place_there_already(site: Site, how_far: str) -> None:
    """Half of two servers may be in one pool: the second finds it full while the first is still on its way."""
    limits, now = {"most_per_pool": 0.5}, datetime.now(UTC)
    in_transaction(site.sessions, lambda s: change_client(s, site.client_id, now, autopilot={}, limits=limits))
    site.server(ON)
    [first] = site.round().asks
    if how_far != "approved":
        operation = site.ask(first)
    if how_far == "running":
        with site.sessions.begin() as session:
            session.add(_running(operation, first.server_id, site.client_id, first.pool))
    second = site.server(ON)
    [other] = [ask for ask in site.round().asks if ask.server_id == second]
    assert other.pool != first.pool
    assert site.reconsider(other.decision_id).holds
    found: contract.PreviewResult = site.run(site.autopilot.look, contract.PreviewInput(second))
    assert found.to_pool == other.pool, "so it is where a decision is looked at once more"


def test_who_is_on_its_way_to_spot_is_no_longer_of_the_share_on_demand(site: Site) -> None:
    limits, now = {"least_on_demand": 0.5}, datetime.now(UTC)
    site.server(ON)
    [first] = site.round().asks
    in_transaction(site.sessions, lambda s: change_client(s, site.client_id, now, autopilot={}, limits=limits))
    second = site.server(ON)
    assert [ask.server_id for ask in site.round().asks] == [first.server_id]
    assert site.decisions(second)[0].reason == "on_demand_share"


def test_a_decision_that_has_no_operation_yet_takes_its_room(site: Site) -> None:
    site.round()  # what other tests have left under way is settled by a pass
    with site.sessions() as session:
        room_for_one = sum(count_under_way(session).values()) + 1
    site.server(ON)
    [first] = site.round(room_for_one).asks
    second = site.server(ON)
    assert [ask.server_id for ask in site.round(room_for_one).asks] == [first.server_id]
    assert site.decisions(second)[0].held_by == "fleet_limit"


def test_a_switch_that_only_keeps_the_old_instance_holds_up_nobody_else_and_nothing_but_ordinary_moves(
    site: Site,
) -> None:
    moved = site.server(ON)
    [ask] = site.round().asks
    operation, now = site.ask(ask), datetime.now(UTC)
    with site.sessions.begin() as session:
        before = sum(count_under_way(session).values()) - 1
        session.add(_running(operation, moved, site.client_id, ask.pool, to_pool=ask.pool))
        session.execute(update(Instance).where(Instance.server_id == moved).values(pool=ask.pool))
    with site.sessions.begin() as session:
        assert sum(count_under_way(session).values()) == before + 1
        session.add(OperationStep(operation_id=operation, position=9, name="retire", started_at=now))
    site.round()
    assert site.decisions(moved)[0].state == "done", "it has committed"
    with site.sessions() as session:
        assert sum(count_under_way(session).values()) == before
        [row] = [one for one in read_fleet(session) if one.server_id == moved]
    assert (row.busy, row.keeps_old_instance) == (False, True)
    site.policy(moved, replace(ON, replica=ReplicaWish.ALWAYS))
    [replica] = [one for one in site.round().asks if one.server_id == moved]
    assert replica.kind is OperationKind.REPLICA_CREATE


def test_the_stay_of_a_promoted_server_begins_with_its_promotion(site: Site) -> None:
    server, now = site.server(replace(ON, minimum_stay_h=2)), datetime.now(UTC)
    long_ago, lately = now - timedelta(days=3), now - timedelta(hours=1)
    roles = [[long_ago.isoformat(), "replica"], [lately.isoformat(), "primary"]]
    placed = update(Instance).where(Instance.server_id == server)
    site.change(placed.values(launch_confirmed_at=long_ago, roles=roles))
    assert site.round().asks == []
    assert site.decisions(server)[0].reason == "minimum_stay"
    site.change(placed.values(roles=[[long_ago.isoformat(), "primary"]]))
    assert [ask.server_id for ask in site.round().asks] == [server]


def test_a_move_is_reckoned_with_the_outage_of_its_handoff(site: Site) -> None:
    """An hour of outage costs 36 USD: a second of it a cent."""
    wish = AutopilotPreferences(outage_usd_per_hour=36.0)
    cost: dict[Handoff, float] = {}
    for handoff in Handoff:
        denied = [A] if handoff is Handoff.SNAPSHOT else []
        server = site.server(wish, handoff, denied_zones=denied)
        found: contract.PreviewResult = site.run(site.autopilot.look, contract.PreviewInput(server))
        cost[handoff] = found.figures["move_outage_usd"]
    assert cost[Handoff.STATELESS] == 0.0
    assert 0.0 < cost[Handoff.VOLUMES] < cost[Handoff.SNAPSHOT] == pytest.approx(0.745)


def parts(figures: dict[str, Any]) -> list[float]:
    return [figures[f"move_{part}_usd"] for part in ("overlap", "snapshot", "outage")]


def test_a_move_to_another_zone_is_reckoned_with_the_snapshots_of_its_volumes(site: Site) -> None:
    """Of 10 GiB of data; the root volume is not copied. Within the zone the volume itself moves."""
    away, home = (site.server(ON, Handoff.SNAPSHOT, **{which: [A]}) for which in ("denied_zones", "zones"))
    site.round()
    [far], [near] = site.decisions(away), site.decisions(home)
    overlap, snapshot, outage = parts(far.figures)
    assert far.figures["move_usd"] == pytest.approx(overlap + snapshot + outage, abs=2e-6)
    assert snapshot == pytest.approx(10 * SNAPSHOT_USD_PER_GIB_H * (0.5 + 72), abs=1e-6)
    assert far.figures["payback_h"] == pytest.approx(far.figures["move_usd"] / far.figures["gain_usd_per_h"], rel=1e-3)
    assert parts(near.figures)[1] == 0.0
    assert near.figures["left_out"] is far.figures["left_out"] is None


def test_sizes_are_read_once_for_all_servers_whose_volumes_may_be_copied(site: Site) -> None:
    for handoff in (*[Handoff.SNAPSHOT] * 3, Handoff.VOLUMES, Handoff.STATELESS):
        site.server(ON, handoff)
    before = len(site.cloud.calls("DescribeVolumes"))
    for _ in range(3):
        site.round()
    [asked] = site.cloud.calls("DescribeVolumes")[before:]
    assert sum(name.startswith("Filters.1.Values.") for name in asked["params"]) == 3


def test_sizes_that_cannot_be_read_stop_nobody_and_the_decision_says_so(site: Site) -> None:
    site.cloud.post("/faults", action="DescribeVolumes", kind="fail", code="UnauthorizedOperation", times=10)
    server = site.server(ON, Handoff.SNAPSHOT, denied_zones=[A])
    [ask] = site.round().asks
    [decision] = site.decisions(server)
    assert (ask.server_id, decision.reason) == (server, "cheaper")
    overlap, snapshot, outage = parts(decision.figures)
    assert snapshot == 0.0
    assert overlap > 0.0
    assert outage > 0.0
    assert decision.figures["left_out"].startswith("the snapshots of a move: ")
    assert "ec2:DescribeVolumes is denied" in decision.figures["left_out"]


@pytest.mark.parametrize("which", ["zones", "denied_zones"])
def test_the_plan_of_a_decision_has_the_same_cost_to_the_last_part(site: Site, which: str) -> None:
    wish = replace(PROPOSE, keep_old_s=600.0)
    server = site.server(wish, Handoff.SNAPSHOT, **{which: [A]})
    [proposal] = site.round().proposals
    given, [decision] = proposal.plan, site.decisions(server)
    assert given.terms is not None
    survey = SurveyInput(REGION, given.primary.instance_id, given.policy, given.pool, home_type=given.terms.home_type)
    seen: SurveyResult = site.cloud.run(SURVEY, survey)
    plan = compose_plan(seen.blueprint, given.policy, seen.candidates, [], seen.hourly_now, given.terms, seen.home_usd)
    assert plan.move is not None
    assert str(plan.candidates[0].pool) == decision.to_pool
    told = [plan.move.overlap_usd, plan.move.snapshot_usd, plan.move.outage_usd]
    assert parts(decision.figures) == pytest.approx(told, abs=1e-6)


def test_denied_types_and_zones_are_not_candidates(site: Site) -> None:
    server = site.server(ON, denied_types=["c5", "m5.large"], denied_zones=[A])
    found: contract.PreviewResult = site.run(site.autopilot.look, contract.PreviewInput(server, candidates=100))
    pools = [one["pool"] for one in found.figures["candidates"]]
    assert pools
    assert not [pool for pool in pools if pool.startswith(f"{A}/") or "/c5." in pool or "/m5.large/" in pool]


def test_an_instance_that_ec2_does_not_know_is_nobodys_to_move(site: Site) -> None:
    server = site.server(ON)
    site.change(update(Instance).where(Instance.server_id == server).values(id="i-0123456789abcdef0"))
    assert site.round().servers == 0


def test_a_region_whose_ec2_fails_is_skipped_with_the_reason(site: Site) -> None:
    site.server(ON)
    site.cloud.post("/faults", action="DescribeInstances", kind="fail", code="UnauthorizedOperation", times=10)
    done = site.round()
    assert done.servers == 0
    assert list(done.skipped) == [REGION]


def _operation(operation: str, server: str, client: str, kind: str, by: str) -> Operation:
    now = datetime.now(UTC)
    return Operation(
        id=operation,
        server_id=server,
        client_id=client,
        kind=kind,
        priority=25,
        status="committed",
        requested_by=by,
        requested_at=now,
        finished_at=now,
    )


def _running(operation: str, server: str, client: str, pool: str = "", **more: Any) -> Operation:
    one = _operation(operation, server, client, "switch", "autopilot")
    one.status, one.finished_at, one.asked_pool = "running", None, pool
    for name, value in more.items():
        setattr(one, name, value)
    return one


def _rest(site: Site, pool: str) -> None:
    zone, kind, lifecycle = pool.split("/")
    until = datetime.now(UTC) + timedelta(hours=1)
    with site.sessions.begin() as session:
        session.merge(
            PoolRow(
                id=pool,
                region=REGION,
                zone=zone,
                instance_type=kind,
                lifecycle=lifecycle,
                cool_down_until=until,
                cool_down_reason="NoCapacity",
            )
        )
