"""A whole fleet at once: everybody's decision, within what the client and the control plane allow."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from domain.autopilot.evaluation import Case, Judged, Room, evaluate, figures
from domain.autopilot.limits import FleetLimits
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch
from domain.autopilot.verdict import Gate, Standing
from domain.deciding.decision import Kind
from domain.deciding.facts import Needs, Offer, Placement
from domain.deciding.pricing import PriceRecord
from domain.deciding.reliability import first_seen

NOW, AT_H = datetime(2026, 11, 23, 12, 0, tzinfo=UTC), 1000.0
A, B, C = (f"us-east-1{zone}/m5.large/spot" for zone in "abc")
HOME = "us-east-1a/m5.large/on-demand"
ON = AutopilotPolicy(auto_switch=AutoSwitch.ON)
NEEDS = Needs(on_demand_pool=HOME, on_demand_usd=0.1, outage_usd_per_h=1.0)
PLENTY = Room(1_000)


def offer(pool: str, usd: float, blocked: str = "") -> Offer:
    return Offer(pool, PriceRecord(AT_H, usd), first_seen(AT_H, True, 0.0002), blocked=blocked)


MARKET = {A: offer(A, 0.03), B: offer(B, 0.05), C: offer(C, 0.06)}


def case(number: int, pool: str = HOME, client: str = "cli", policy: AutopilotPolicy = ON) -> Case:
    placed = Placement(pool, AT_H - 100)
    return Case(f"srv-{number:05d}", client, placed, NEEDS, frozenset(MARKET), Standing(policy))


def gates(judged: list[Judged]) -> list[Gate]:
    return [one.verdict.gate for one in judged]


def test_everybody_goes_where_it_is_cheapest() -> None:
    judged = evaluate([case(1), case(2, B), case(3, A)], MARKET, AT_H, NOW, PLENTY)
    assert [(one.verdict.decision.kind, one.verdict.decision.pool) for one in judged] == [
        (Kind.MOVE, A),
        (Kind.MOVE, A),
        (Kind.STAY, A),
    ]


def test_a_blocked_pool_is_not_entered_and_not_left_for_being_blocked() -> None:
    market = MARKET | {A: offer(A, 0.03, blocked="cool-down")}
    [fresh, there] = evaluate([case(1), case(2, A)], market, AT_H, NOW, PLENTY)
    assert fresh.verdict.decision.pool == B
    assert there.verdict.decision.kind is Kind.STAY


def test_a_pool_that_the_policy_no_longer_allows_is_no_loss() -> None:
    outside = replace(case(1, C), pools=frozenset({A, B}))
    [one] = evaluate([outside], MARKET, AT_H, NOW, PLENTY)
    assert one.verdict.decision.kind is Kind.MOVE
    assert one.verdict.decision.pool == A


def test_only_as_many_move_as_there_is_room_for_and_the_most_saving_first() -> None:
    dear = replace(NEEDS, on_demand_usd=0.5)
    cases = [case(1), replace(case(2), needs=dear), case(3)]
    judged = evaluate(cases, MARKET, AT_H, NOW, Room(2, under_way={"other": 1}))
    assert gates(judged) == [Gate.FLEET_LIMIT, Gate.NONE, Gate.FLEET_LIMIT]


def test_a_clients_own_limit_holds_for_it_alone() -> None:
    room = Room(100, {"small": FleetLimits(moves_at_once=1)})
    judged = evaluate([case(1, client="small"), case(2, client="small"), case(3)], MARKET, AT_H, NOW, room)
    assert sorted(gates(judged)) == [Gate.NONE, Gate.NONE, Gate.FLEET_LIMIT]
    assert judged[2].verdict.acts


def test_a_fleet_does_not_crowd_into_one_pool_or_zone() -> None:
    cases = [case(number) for number in range(10)]
    half = evaluate(cases, MARKET, AT_H, NOW, Room(100, {"cli": FleetLimits(most_per_pool=0.5)}))
    assert gates(half).count(Gate.NONE) == 5
    assert gates(half).count(Gate.CROWDED) == 5
    zone = evaluate(cases, MARKET, AT_H, NOW, Room(100, {"cli": FleetLimits(most_per_zone=0.3)}))
    assert gates(zone).count(Gate.NONE) == 3


def test_a_share_stays_on_demand_if_asked() -> None:
    cases = [case(number) for number in range(10)]
    judged = evaluate(cases, MARKET, AT_H, NOW, Room(100, {"cli": FleetLimits(least_on_demand=0.4)}))
    assert gates(judged).count(Gate.NONE) == 6


def test_what_waits_for_approval_takes_no_room() -> None:
    propose = AutopilotPolicy(auto_switch=AutoSwitch.PROPOSE)
    judged = evaluate([case(1, policy=propose), case(2)], MARKET, AT_H, NOW, Room(1))
    assert gates(judged) == [Gate.NONE, Gate.NONE]


def test_the_figures_show_what_the_decision_was_made_on() -> None:
    [one] = evaluate([case(1)], MARKET, AT_H, NOW, PLENTY)
    shown = figures(one)
    assert shown["gain_usd_per_h"] == round(shown["cost_now_usd_per_h"] - shown["cost_then_usd_per_h"], 6)
    assert [candidate["pool"] for candidate in shown["candidates"]] == [A, B, C]
    assert shown["payback_h"] > 0


def test_a_decision_is_a_function_of_its_facts() -> None:
    cases = [case(number, pool) for number, pool in enumerate((HOME, A, B, C) * 5)]
    room = Room(7, {"cli": FleetLimits(most_per_pool=0.4)})
    once = evaluate(cases, MARKET, AT_H, NOW, room)
    shuffled = evaluate(cases[::-1], dict(reversed(MARKET.items())), AT_H, NOW, room)
    assert [figures(one) for one in once] == [figures(one) for one in shuffled[::-1]]
    assert gates(once) == gates(shuffled[::-1])
