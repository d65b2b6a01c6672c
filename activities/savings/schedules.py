"""The Temporal schedules of savings. None overlaps itself; each starts a little earlier or later each time."""

from __future__ import annotations

from datetime import timedelta

from activities.schedules import ScheduledWorkflow
from domain.savings import contract

RECHECK_H = 7 * 24.0
_DAY = timedelta(days=1)
# A week is told once: asked for more often, it comes also after a Monday on which everything was down.
TELL_EVERY = timedelta(hours=1)


def schedules(accrue_every: timedelta, keep_events: timedelta) -> list[ScheduledWorkflow]:
    """Accrual, and once a day the last seven days again: what was recorded late, and what on-demand cost then."""
    expire = contract.ExpireInput(keep_events / _DAY)
    return [
        ScheduledWorkflow(
            "savings/accrue", contract.ACCRUE_WORKFLOW, contract.AccrueInput(), accrue_every, jitter=accrue_every / 10
        ),
        ScheduledWorkflow(
            "savings/recheck",
            contract.ACCRUE_WORKFLOW,
            contract.AccrueInput(again_h=RECHECK_H),
            _DAY,
            jitter=timedelta(minutes=30),
        ),
        ScheduledWorkflow(
            "savings/week",
            contract.WEEKLY_SUMMARY_WORKFLOW,
            contract.WeeklySummaryInput(),
            TELL_EVERY,
            jitter=timedelta(minutes=5),
        ),
        ScheduledWorkflow("events/expire", contract.EXPIRE_WORKFLOW, expire, _DAY, jitter=timedelta(hours=1)),
    ]
