"""A whole fleet at once: everybody's decision, within what the client and the control plane allow."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from domain.autopilot.crowding import Arrival, FleetLimits, with_arrivals
from domain.autopilot.decision import DecisionKind, DecisionReason
from domain.autopilot.decision_figures import decision_figures
from domain.autopilot.decision_inputs import Needs, Offer, ServerPosition
from domain.autopilot.experience import Experience
from domain.autopilot.fleet_decision import RestOfFleet
from domain.autopilot.fleet_evaluation import FleetEvaluation, JudgedCase, OperationBudget, ServerCase
from domain.autopilot.fleet_evaluation import evaluate_fleet as evaluate_all
from domain.autopilot.move_cost import MoveProfile
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch, ReplicaMode
from domain.autopilot.policy_gates import Gate, ServerConditions
from domain.autopilot.pool_records import PriceRecord, first_observation
from domain.autopilot.pool_supply import PoolKnowledge, RegionPlatform, Supply
from domain.market.on_demand_prices import LINUX
from domain.operations import Priority

NOW, AT_H = datetime(2026, 11, 23, 12, 0, tzinfo=UTC), 1000.0
A, B, C = (f"us-east-1{zone}/m5.large/spot" for zone in "abc")
HOME = "us-east-1a/m5.large/on-demand"
ON = AutopilotPolicy(auto_switch=AutoSwitch.ON)
NEEDS = Needs(on_demand_pool=HOME, on_demand_usd=0.1, outage_usd_per_h=1.0)
PLENTY = OperationBudget(1_000)


def offer(pool: str, usd: float, blocked: str = "") -> Offer:
    record = first_observation(AT_H, True, 0.0002)
    return Offer(pool, PriceRecord(AT_H, usd), record, blocked=blocked, zone=pool.split("/")[0])


MARKET = {A: offer(A, 0.03), B: offer(B, 0.05), C: offer(C, 0.06)}


def case(number: int, pool: str = HOME, client: str = "cli", policy: AutopilotPolicy = ON) -> ServerCase:
    position = ServerPosition(pool, AT_H - 100)
    return ServerCase(f"srv-{number:05d}", client, position, NEEDS, frozenset(MARKET), ServerConditions(policy))


def evaluated(
    cases: Sequence[ServerCase],
    market: Mapping[str, Offer],
    room: OperationBudget = PLENTY,
    experience: Mapping[str, Experience] | None = None,
    **supply: Any,
) -> FleetEvaluation:
    everywhere: dict[RegionPlatform, Supply] = {("", LINUX): Supply(market, **supply)}
    return evaluate_all(cases, everywhere, AT_H, NOW, room, experience)


def evaluate(
    cases: Sequence[ServerCase], market: Mapping[str, Offer], room: OperationBudget = PLENTY
) -> list[JudgedCase]:
    return evaluated(cases, market, room).judged


def gates(judged: list[JudgedCase]) -> list[Gate]:
    return [one.verdict.gate for one in judged]


def test_everybody_goes_where_it_is_cheapest() -> None:
    judged = evaluate([case(1), case(2, B), case(3, A)], MARKET)
    assert [(one.verdict.decision.kind, one.verdict.decision.pool) for one in judged] == [
        (DecisionKind.MOVE, A),
        (DecisionKind.MOVE, A),
        (DecisionKind.STAY, A),
    ]


def test_a_blocked_pool_is_not_entered_and_not_left_for_being_blocked() -> None:
    market = MARKET | {A: offer(A, 0.03, blocked="cool-down")}
    [fresh, there] = evaluate([case(1), case(2, A)], market)
    assert fresh.verdict.decision.pool == B
    assert there.verdict.decision.kind is DecisionKind.STAY


def test_a_pool_that_the_policy_no_longer_allows_is_no_loss() -> None:
    outside = replace(case(1, C), pools=frozenset({A, B}))
    [one] = evaluate([outside], MARKET)
    assert one.verdict.decision.kind is DecisionKind.MOVE
    assert one.verdict.decision.pool == A


def test_only_as_many_move_as_there_is_room_for_and_the_most_saving_first() -> None:
    dear = replace(NEEDS, on_demand_usd=0.5)
    cases = [case(1), replace(case(2), needs=dear), case(3)]
    judged = evaluate(cases, MARKET, OperationBudget(2, under_way={"other": 1}))
    assert gates(judged) == [Gate.FLEET_LIMIT, Gate.NONE, Gate.FLEET_LIMIT]


def test_a_clients_own_limit_holds_for_it_alone() -> None:
    room = OperationBudget(100, {"small": FleetLimits(moves_at_once=1)})
    judged = evaluate([case(1, client="small"), case(2, client="small"), case(3)], MARKET, room)
    assert sorted(gates(judged)) == [Gate.NONE, Gate.NONE, Gate.FLEET_LIMIT]
    assert judged[2].verdict.acts


def targets(judged: list[JudgedCase]) -> list[str]:
    return [one.verdict.decision.pool for one in judged if one.verdict.acts]


def test_a_fleet_does_not_crowd_into_one_pool_or_zone() -> None:
    cases = [case(number) for number in range(10)]
    half = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(most_per_pool=0.5)}))
    assert targets(half) == [A] * 5 + [B] * 5
    zone = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(most_per_zone=0.3)}))
    assert targets(zone) == [A] * 3 + [B] * 3 + [C] * 3
    assert zone[-1].verdict.decision.reason is DecisionReason.CROWDED


def test_who_is_not_moved_has_its_place_all_the_same() -> None:
    off = AutopilotPolicy()
    cases = [case(number, A, policy=off) for number in range(4)] + [case(number) for number in range(4, 8)]
    judged = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(most_per_pool=0.5)}))
    assert targets(judged) == [B] * 4, "four of eight are in the cheapest already"
    elsewhere = OperationBudget(
        100, {"cli": FleetLimits(most_per_pool=0.5)}, others={"cli": RestOfFleet({A: 1}, {}, servers=1)}
    )
    assert targets(evaluate([case(1)], MARKET, elsewhere)) == [B], "the rest of the fleet is not among the cases"


def test_who_is_on_its_way_counts_where_it_goes_and_is_not_where_it_was_for_the_share() -> None:
    both = RestOfFleet({B: 1}, {"us-east-1b": 1}, servers=2, on_demand=1)
    arrivals = [
        Arrival("srv-1", A, HOME),
        Arrival("srv-2", HOME, B),
        Arrival("srv-3", A, ""),
        Arrival("srv-2", C, B, True),
    ]
    assert with_arrivals(both, arrivals[:1]).on_demand == 0
    assert with_arrivals(both, arrivals) == RestOfFleet(
        {A: 2, B: 1, C: 1}, {"us-east-1a": 2, "us-east-1b": 1, "us-east-1c": 1}, servers=2, on_demand=1
    )


def test_a_share_stays_on_demand_if_asked() -> None:
    cases = [case(number) for number in range(10)]
    judged = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(least_on_demand=0.4)}))
    assert len(targets(judged)) == 6
    assert {one.verdict.decision.reason for one in judged[6:]} == {DecisionReason.ON_DEMAND_SHARE}


def test_a_share_that_is_missing_is_brought_back_although_it_costs() -> None:
    cases = [case(number, A) for number in range(4)]
    judged = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(least_on_demand=0.5)}))
    assert targets(judged) == [HOME, HOME]


def test_who_has_not_stayed_its_minimum_is_not_taken_for_the_share() -> None:
    needs = replace(NEEDS, minimum_stay_h=5.0)
    young, old = (ServerPosition(A, AT_H - hours) for hours in (4, 5))
    cases = [
        replace(case(number, A), needs=needs, position=position) for number, position in enumerate((young, old, young))
    ]
    judged = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(least_on_demand=1.0)}))
    assert [one.verdict.decision.kind for one in judged] == [
        DecisionKind.STAY,
        DecisionKind.ON_DEMAND,
        DecisionKind.STAY,
    ]


def test_going_back_to_on_demand_has_its_outage_too() -> None:
    ways = [MoveProfile(outage_h=hours) for hours in (0.0, 2.0)]
    plain, outage = (replace(case(1, A), needs=replace(NEEDS, within=way, beyond=way)) for way in ways)
    room = OperationBudget(100, {"cli": FleetLimits(least_on_demand=1.0)})
    [free], [dear] = evaluate([plain], MARKET, room), evaluate([outage], MARKET, room)
    assert decision_figures(dear)["move_usd"] == decision_figures(free)["move_usd"] + 2.0
    assert decision_figures(dear)["move_outage_usd"] == 2.0


# --- replicas


def replicated(number: int, mode: ReplicaMode, replica: str = "", **more: Any) -> ServerCase:
    one = case(number, A, **more)
    position, needs = replace(one.position, replica=replica), replace(NEEDS, replica=mode)
    return replace(one, position=position, needs=needs, replica_ours=True)


def test_a_replica_is_made_beside_a_server_that_is_not_moved_also_where_nothing_may_be() -> None:
    [one] = evaluate([replicated(1, ReplicaMode.ALWAYS, policy=AutopilotPolicy())], MARKET)
    decision = one.verdict.decision
    assert (decision.kind, decision.pool, decision.reason) == (DecisionKind.REPLICA, B, DecisionReason.ALWAYS_REPLICA)
    assert one.verdict.acts
    assert one.verdict.priority is Priority.ORDINARY


def test_a_server_that_moves_does_that_before_it_gets_a_replica() -> None:
    on_demand = replace(replicated(1, ReplicaMode.ALWAYS), position=ServerPosition(HOME, AT_H - 100))
    [one] = evaluate([on_demand], MARKET)
    assert one.verdict.decision.kind is DecisionKind.MOVE


def test_a_replica_is_made_on_risk_at_once_and_dropped_when_the_risk_has_passed() -> None:
    young = replace(MARKET[A], reliability=first_observation(AT_H, True))
    # Nothing else is open: the server stays, and only a replica on demand can avert the outage.
    risky = {A: young, B: replace(MARKET[B], blocked="cool-down"), C: replace(MARKET[C], blocked="cool-down")}
    dear = replace(NEEDS, outage_usd_per_h=50.0, replica=ReplicaMode.ON_RISK)
    [made] = evaluate([replace(replicated(1, ReplicaMode.ON_RISK), needs=dear)], risky)
    assert (made.verdict.decision.kind, made.verdict.decision.reason) == (
        DecisionKind.REPLICA,
        DecisionReason.RISK_AVERTED,
    )
    assert made.verdict.priority is Priority.URGENT
    [dropped] = evaluate([replicated(1, ReplicaMode.ON_RISK, replica=B)], MARKET)
    assert (dropped.verdict.decision.kind, dropped.verdict.decision.reason) == (
        DecisionKind.DROP_REPLICA,
        DecisionReason.RISK_PASSED,
    )


def test_a_replica_that_somebody_else_wanted_is_not_dropped() -> None:
    own = replicated(1, ReplicaMode.NONE, replica=B)
    [ours, theirs] = evaluate([own, replace(own, server_id="srv-2", replica_ours=False)], MARKET)
    assert ours.verdict.decision.kind is DecisionKind.DROP_REPLICA
    assert theirs.verdict.decision.kind is DecisionKind.STAY


def test_replicas_count_against_the_limits() -> None:
    cases = [replicated(number, ReplicaMode.ALWAYS, policy=AutopilotPolicy()) for number in range(4)]
    judged = evaluate(cases, MARKET, OperationBudget(100, {"cli": FleetLimits(most_per_pool=0.5)}))
    assert targets(judged) == [B, B, C, C]


# --- what is learnt


def test_a_loss_where_we_run_makes_the_next_pass_more_cautious() -> None:
    cases, known = [case(1)], PoolKnowledge(watched=frozenset({A, B}))
    first = evaluated(cases, MARKET, known=known)
    [(key, (_, before))] = first.learnt.items()
    assert set(before.held) == {A, B}, "in C nobody would see a loss"
    calm = evaluated(cases, MARKET, experience={key: before}, known=known)
    lost = evaluated(cases, MARKET, experience={key: before}, known=known, down=frozenset({A}))
    assert lost.learnt[key][1].losses == 1
    assert _risk(lost, B) > _risk(calm, B)


def test_what_is_learnt_can_be_kept_also_where_no_on_demand_price_is_known() -> None:
    unknown = replace(case(1, A), needs=replace(NEEDS, on_demand_usd=math.inf, outage_usd_per_h=0.0))
    found = evaluated([unknown], MARKET, known=PoolKnowledge(watched=frozenset({A})))
    [(needs, one)] = found.learnt.values()
    json.dumps([dict(needs), dict(one.held), decision_figures(found.judged[0])], allow_nan=False)


def test_what_nobody_looked_at_is_not_learnt_from() -> None:
    cases, known = [case(1)], PoolKnowledge(watched=frozenset({A}))
    [(key, _)] = evaluated(cases, MARKET).learnt.items()
    long_ago = Experience(AT_H - 10, held={A: 0.5})
    after = evaluated(cases, MARKET, experience={key: long_ago}, known=known).learnt[key][1]
    assert (after.losses, after.expected) == (0, 0)


offers_st = st.fixed_dictionaries(
    {
        pool: st.builds(
            lambda usd, up_h, losses, tight, blocked, pool=pool: replace(
                offer(pool, usd, "cool-down" if blocked else ""),
                reliability=replace(first_observation(AT_H - up_h, True), at_h=AT_H, losses=losses),
                tightness=tight,
            ),
            st.floats(0.001, 0.2),
            st.floats(0.0, 500.0),
            st.floats(0.0, 20.0),
            st.floats(-1.0, 1.0),
            st.booleans(),
        )
        for pool in (A, B, C)
    }
)
cases_st = st.lists(
    st.tuples(
        st.sampled_from([HOME, A, B, C]),
        st.sampled_from(["", A, B, C]),
        st.sampled_from(ReplicaMode),
        st.sampled_from(AutoSwitch),
        st.sampled_from(["cli", "other"]),
    ),
    max_size=12,
)
limits_st = st.builds(FleetLimits, st.floats(0.1, 1.0), st.floats(0.1, 1.0), st.floats(0.0, 1.0), st.integers(0, 3))


@given(offers_st, cases_st, limits_st, st.sets(st.sampled_from([A, B, C])), st.integers())
def test_a_decision_is_a_function_of_its_facts_in_whatever_order_they_come(
    market: dict[str, Offer],
    drawn: list[tuple[str, str, ReplicaMode, AutoSwitch, str]],
    limits: FleetLimits,
    down: set[str],
    seed: int,
) -> None:
    cases = [
        replace(
            case(number, pool, client, AutopilotPolicy(auto_switch=switch)),
            position=ServerPosition(pool, AT_H - 100, "" if replica == pool else replica),
            needs=replace(NEEDS, replica=mode),
            replica_ours=True,
        )
        for number, (pool, replica, mode, switch, client) in enumerate(drawn)
    ]
    known, room = PoolKnowledge(watched=frozenset({A, B})), OperationBudget(5, {"cli": limits})
    shuffled = list(enumerate(cases))
    random.Random(seed).shuffle(shuffled)
    once = evaluated(cases, market, room, known=known, down=frozenset(down))
    mixed = dict(sorted(market.items(), reverse=True))
    again = evaluated([one for _, one in shuffled], mixed, room, known=known, down=frozenset(down))
    assert [again.judged[at].verdict for at in _back(shuffled)] == [one.verdict for one in once.judged]
    assert [decision_figures(again.judged[at]) for at in _back(shuffled)] == [
        decision_figures(one) for one in once.judged
    ]
    assert again.learnt == once.learnt
    for one in once.judged:
        if one.verdict.decision.kind in (DecisionKind.MOVE, DecisionKind.REPLICA) and one.verdict.decision.pool != HOME:
            assert not market[one.verdict.decision.pool].blocked


def _back(shuffled: list[tuple[int, ServerCase]]) -> list[int]:
    places = {number: at for at, (number, _) in enumerate(shuffled)}
    return [places[number] for number in range(len(shuffled))]


def _risk(found: FleetEvaluation, pool: str) -> float:
    return found.judged[0].market.by_pool[pool].risk_usd


def test_what_waits_for_approval_takes_no_room() -> None:
    propose = AutopilotPolicy(auto_switch=AutoSwitch.PROPOSE)
    judged = evaluate([case(1, policy=propose), case(2)], MARKET, OperationBudget(1))
    assert gates(judged) == [Gate.NONE, Gate.NONE]


def test_the_figures_show_what_the_decision_was_made_on() -> None:
    [one] = evaluate([case(1)], MARKET)
    shown = decision_figures(one)
    assert shown["gain_usd_per_h"] == round(shown["cost_now_usd_per_h"] - shown["cost_then_usd_per_h"], 6)
    assert [candidate["pool"] for candidate in shown["candidates"]] == [A, B, C]
    assert shown["payback_h"] > 0


def test_the_pool_that_is_decided_for_is_among_those_shown_and_what_is_left_out_is_said() -> None:
    """A, in the server's zone, costs more than B, but a terabyte need not be copied to get there."""
    needs = replace(NEEDS, beyond=MoveProfile(0.5, copies=True))
    position, market = ServerPosition(HOME, AT_H - 100, data_gib=1000), {**MARKET, A: offer(A, 0.05), B: offer(B, 0.03)}
    [one] = evaluate([replace(case(1), needs=needs, position=position, left_out="a part")], market)
    shown = decision_figures(one, candidates=1)
    assert one.verdict.decision.pool == A
    assert [candidate["pool"] for candidate in shown["candidates"]] == [A]
    assert (shown["move_snapshot_usd"], shown["left_out"]) == (0.0, "a part")
    assert [candidate["pool"] for candidate in decision_figures(one, candidates=2)["candidates"]] == [B, A]


def test_a_decision_is_a_function_of_its_facts() -> None:
    cases = [case(number, pool) for number, pool in enumerate((HOME, A, B, C) * 5)]
    room = OperationBudget(7, {"cli": FleetLimits(most_per_pool=0.4)})
    once = evaluate(cases, MARKET, room)
    shuffled = evaluate(cases[::-1], dict(reversed(MARKET.items())), room)
    assert [decision_figures(one) for one in once] == [decision_figures(one) for one in shuffled[::-1]]
    assert gates(once) == gates(shuffled[::-1])
