"""A decision of the market meets its owner's policy."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.maintenance_windows import MaintenanceWindow
from domain.autopilot.move_cost import MoveCost
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch, ReplicaMode
from domain.autopilot.policy_gates import Gate, ServerConditions, apply_gates
from domain.operations import Priority

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
POOL = "us-east-1b/m5.large/spot"
CHEAPER = Decision(
    DecisionKind.MOVE, POOL, DecisionReason.CHEAPER, cost_now_usd=0.10, cost_then_usd=0.05, move=MoveCost(0.02)
)
RISKY = Decision(
    DecisionKind.ON_DEMAND, "on-demand", DecisionReason.SPOT_TOO_RISKY, cost_now_usd=0.10, cost_then_usd=0.12
)
REPLICA = Decision(DecisionKind.REPLICA, POOL, DecisionReason.RISK_AVERTED)
ON = AutopilotPolicy(auto_switch=AutoSwitch.ON)


def test_a_move_that_pays_is_asked_for_at_ordinary_priority() -> None:
    verdict = apply_gates(CHEAPER, ServerConditions(ON), NOW)
    assert (verdict.acts, verdict.ask_first, verdict.priority) == (True, False, Priority.ORDINARY)


def test_what_is_urgent_waits_for_no_window_no_limit_and_no_minimum() -> None:
    policy = replace(ON, windows=[MaintenanceWindow("01:00", "02:00")], max_moves_per_week=1, min_saving=0.9)
    verdict = apply_gates(RISKY, ServerConditions(policy, moved_at=(NOW,)), NOW)
    assert (verdict.acts, verdict.priority) == (True, Priority.URGENT)


@pytest.mark.parametrize(
    ("conditions", "gate"),
    [
        (ServerConditions(AutopilotPolicy()), Gate.OFF),
        (ServerConditions(replace(ON, frozen=True)), Gate.FROZEN),
        (ServerConditions(replace(ON, frozen_until=NOW + timedelta(hours=1))), Gate.FROZEN),
        (ServerConditions(ON, busy=True), Gate.BUSY),
        (ServerConditions(ON, keeps_old_instance=True), Gate.BUSY),
        (ServerConditions(ON, tried=frozenset({("move", POOL)})), Gate.TRIED),
        (ServerConditions(replace(ON, min_saving=0.6)), Gate.SAVES_TOO_LITTLE),
        (ServerConditions(replace(ON, windows=[MaintenanceWindow("13:00", "14:00")])), Gate.WINDOW),
        (
            ServerConditions(replace(ON, max_moves_per_week=2), moved_at=(NOW, NOW - timedelta(days=6))),
            Gate.MOVES_USED_UP,
        ),
    ],
)
def test_an_ordinary_move_is_held_by_the_policy(conditions: ServerConditions, gate: Gate) -> None:
    verdict = apply_gates(CHEAPER, conditions, NOW)
    assert (verdict.gate, verdict.acts) == (gate, False)


def test_moves_of_more_than_a_week_ago_do_not_count() -> None:
    conditions = ServerConditions(replace(ON, max_moves_per_week=1), moved_at=(NOW - timedelta(days=7),))
    assert apply_gates(CHEAPER, conditions, NOW).acts


def test_a_freeze_and_a_running_operation_stop_urgent_decisions_too() -> None:
    assert apply_gates(RISKY, ServerConditions(replace(ON, frozen=True)), NOW).gate is Gate.FROZEN
    assert apply_gates(RISKY, ServerConditions(ON, busy=True), NOW).gate is Gate.BUSY


def test_an_old_instance_that_is_kept_holds_up_nothing_urgent_and_no_replica() -> None:
    assert apply_gates(RISKY, ServerConditions(ON, keeps_old_instance=True), NOW).acts
    assert apply_gates(REPLICA, ServerConditions(ON, keeps_old_instance=True), NOW).acts
    assert not ServerConditions(ON, keeps_old_instance=True).may_move(NOW)


def test_in_propose_everything_waits_and_with_approval_only_what_is_not_urgent() -> None:
    propose, approve = AutopilotPolicy(auto_switch=AutoSwitch.PROPOSE), replace(ON, approval_needed=True)
    assert [apply_gates(one, ServerConditions(propose), NOW).ask_first for one in (CHEAPER, RISKY)] == [True, True]
    assert [apply_gates(one, ServerConditions(approve), NOW).ask_first for one in (CHEAPER, RISKY)] == [True, False]


def test_a_replica_is_kept_also_where_nothing_is_moved() -> None:
    off = AutopilotPolicy(replica=ReplicaMode.ON_RISK)
    assert apply_gates(REPLICA, ServerConditions(off), NOW).acts
    assert apply_gates(REPLICA, ServerConditions(replace(off, frozen=True)), NOW).gate is Gate.FROZEN


def test_staying_asks_for_nothing() -> None:
    verdict = apply_gates(
        Decision(DecisionKind.STAY, POOL, DecisionReason.BEST_ALREADY), ServerConditions(AutopilotPolicy()), NOW
    )
    assert (verdict.acts, verdict.gate) == (False, Gate.NONE)
