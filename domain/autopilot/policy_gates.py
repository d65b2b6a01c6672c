"""Gates: whether a decision may be acted on now, by the owner's policy.

A decision is about money and risk alone. The policy says whether the autopilot may act at all, whether now is a time
for ordinary moves, and whether a person has to approve. An urgent decision, for a server that is likely to lose its
place, waits for no window and does not count against the weekly limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.maintenance_windows import any_window_open
from domain.autopilot.policy import AutopilotPolicy, AutoSwitch
from domain.operations import Priority

WEEK = timedelta(days=7)


class Gate(StrEnum):
    """Why a decision is not acted on."""

    NONE = ""
    OFF = "off"
    FROZEN = "frozen"
    TRIED = "tried"  # it failed or was rejected a short while ago
    BUSY = "busy"  # an operation runs or waits: it goes first
    SAVES_TOO_LITTLE = "saves_too_little"  # below the owner's min_saving
    WINDOW = "window"  # no maintenance window is open
    MOVES_USED_UP = "moves_used_up"
    FLEET_LIMIT = "fleet_limit"  # as many operations as allowed are under way


class DecisionState(StrEnum):
    NOTED = "noted"  # nothing to do, or held by a gate
    PROPOSED = "proposed"  # waits for approval
    APPROVED = "approved"
    REJECTED = "rejected"
    ASKED = "asked"  # the server's workflow has the request
    DONE = "done"  # its operation committed
    FAILED = "failed"  # its operation ended otherwise
    DROPPED = "dropped"  # it did not hold any more when it was to be acted on
    EXPIRED = "expired"  # a newer decision took its place


@dataclass(frozen=True)
class ServerConditions:
    """What else counts for the server, besides the market."""

    policy: AutopilotPolicy
    moved_at: tuple[datetime, ...] = ()  # ordinary moves of the last week
    busy: bool = False
    keeps_old_instance: bool = (
        False  # its switch has committed and keeps the old instance for a while, unless more is asked
    )
    tried: frozenset[tuple[str, str]] = frozenset()  # (kind, pool) that failed or was turned down of late

    def may_move(self, now: datetime) -> bool:
        """Whether the policy allows an ordinary move now, whatever it would save."""
        policy = self.policy
        return not (
            policy.auto_switch is AutoSwitch.OFF
            or policy.is_frozen(now)
            or self.busy
            or self.keeps_old_instance
            or not any_window_open(policy.windows, now)
            or self.moves_used_up(now)
        )

    def moves_used_up(self, now: datetime) -> bool:
        return sum(now - WEEK < at <= now for at in self.moved_at) >= self.policy.max_moves_per_week


@dataclass(frozen=True)
class Verdict:
    """A decision and its gate. Without a gate it is acted on, or proposed when `ask_first`."""

    decision: Decision
    gate: Gate
    priority: Priority
    ask_first: bool = False

    @property
    def acts(self) -> bool:
        return asks_for_change(self.decision) and not self.gate


_CHANGES = frozenset({DecisionKind.MOVE, DecisionKind.ON_DEMAND, DecisionKind.REPLICA, DecisionKind.DROP_REPLICA})
_REPLICA = frozenset({DecisionKind.REPLICA, DecisionKind.DROP_REPLICA})
_URGENT = frozenset(
    {
        DecisionReason.LOST,
        DecisionReason.RISK_AVERTED,
        DecisionReason.REPLICA_LOST,
        DecisionReason.SPOT_TOO_RISKY,
        DecisionReason.NO_SPOT,
    }
)


def asks_for_change(decision: Decision) -> bool:
    """Whether the decision asks for anything to be done."""
    return decision.kind in _CHANGES


def apply_gates(decision: Decision, conditions: ServerConditions, now: datetime) -> Verdict:
    """The verdict on a decision: acted on with a priority, or held by a gate."""
    urgent = decision.reason in _URGENT or (
        decision.kind is DecisionKind.ON_DEMAND and decision.reason is DecisionReason.CROWDED
    )
    priority = Priority.URGENT if urgent else Priority.ORDINARY
    gate = _gate(decision, conditions, now, urgent) if asks_for_change(decision) else Gate.NONE
    return Verdict(decision, gate, priority, ask_first=_ask_first(conditions.policy, urgent))


def _ask_first(policy: AutopilotPolicy, urgent: bool) -> bool:
    return policy.auto_switch is AutoSwitch.PROPOSE or (policy.approval_needed and not urgent)


def _gate(decision: Decision, conditions: ServerConditions, now: datetime, urgent: bool) -> Gate:
    policy = conditions.policy
    # A replica that the policy asks for is created and kept even where nothing is moved.
    if policy.auto_switch is AutoSwitch.OFF and decision.kind not in _REPLICA:
        return Gate.OFF
    if policy.is_frozen(now):
        return Gate.FROZEN
    if conditions.busy:
        return Gate.BUSY
    if (decision.kind.value, decision.pool) in conditions.tried:
        return Gate.TRIED
    if urgent or decision.kind in _REPLICA:
        return Gate.NONE
    return _ordinary_gate(decision, conditions, now)


def _ordinary_gate(decision: Decision, conditions: ServerConditions, now: datetime) -> Gate:
    policy = conditions.policy
    if conditions.keeps_old_instance:  # its owner keeps the old instance; a small gain must not end that early
        return Gate.BUSY
    spread = decision.reason is DecisionReason.ON_DEMAND_SHARE  # the client has asked for it, though it costs more
    if not spread and decision.gain_usd < policy.min_saving * decision.cost_now_usd:
        return Gate.SAVES_TOO_LITTLE
    if not any_window_open(policy.windows, now):
        return Gate.WINDOW
    if conditions.moves_used_up(now):
        return Gate.MOVES_USED_UP
    return Gate.NONE
