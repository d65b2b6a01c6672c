"""Contract of the ledger's activities and workflows: names, inputs, outputs. All are safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass, field

ACCRUE = "savings_accrue"  # AccrueInput -> AccrueResult; Unavailable
SEND_WEEKLY_SUMMARY = "savings_tell_week"  # WeeklySummaryInput -> WeeklySummaryResult; Unavailable
EXPIRE_EVENTS = "events_expire"  # ExpireInput -> ExpireResult; Unavailable

ACCRUE_WORKFLOW = "AccrueSavingsWorkflow"
WEEKLY_SUMMARY_WORKFLOW = "WeeklySummaryWorkflow"
EXPIRE_WORKFLOW = "ExpireEventsWorkflow"


@dataclass(frozen=True)
class AccrueInput:
    """`again_h`: hours before the last accrual that are computed again, for what was recorded late."""

    again_h: float = 3.0


@dataclass(frozen=True)
class AccrueResult:
    """Servers looked at, entries added for new time and as corrections, late prices settled.

    `lacking`: by region, types whose on-demand price is not in the records: they are asked for, and the next
    accrual knows them.
    """

    servers: int = 0
    accruals: int = 0
    corrections: int = 0
    settled: int = 0
    lacking: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class WeeklySummaryInput:
    """The last whole week, for every client that has no summary of it yet."""


@dataclass(frozen=True)
class WeeklySummaryResult:
    week: str = ""  # its Monday
    clients: int = 0


@dataclass(frozen=True)
class ExpireInput:
    """Events older than so many days, deliveries of webhooks that are over, decisions that led to nothing."""

    days: float = 30.0


@dataclass(frozen=True)
class ExpireResult:
    events: int = 0
    deliveries: int = 0
    decisions: int = 0
