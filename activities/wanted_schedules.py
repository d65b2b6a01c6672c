"""Which Temporal schedules a worker keeps. None overlaps itself; each starts a little earlier or later each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from activities.market.registry import market_schedules
from activities.schedules import ScheduledWorkflow, ensure_schedule
from activities.settings import WorkerSettings
from domain.autopilot import contract as autopilot
from domain.reconciliation import contract as reconciliation
from domain.savings import contract as savings
from domain.webhooks import contract as webhooks

log = logging.getLogger(__name__)

RETRY_S = 5.0
RECHECK_H = 7 * 24.0
_DAY = timedelta(days=1)
# A weekly summary is sent once: with an hourly schedule it is also sent when everything was down on Monday.
SUMMARY_EVERY = timedelta(hours=1)


def wanted_schedules(settings: WorkerSettings) -> list[ScheduledWorkflow]:
    """An interval of 0 leaves the schedule out: then its workflow runs only when somebody asks for it."""
    wanted = []
    if settings.autopilot_every_s:
        wanted.append(_autopilot(timedelta(seconds=settings.autopilot_every_s), settings.autopilot_moves))
    if settings.reconcile_every_s:
        wanted.append(_reconciliation(timedelta(seconds=settings.reconcile_every_s)))
    if settings.prices_every_s:
        every = timedelta(seconds=settings.prices_every_s)
        wanted += market_schedules(settings.regions, every, settings.keep_prices)
    if settings.savings_every_s:
        wanted += _savings(timedelta(seconds=settings.savings_every_s))
        wanted.append(_expiry(settings.events_days))
    if settings.webhooks_every_s and settings.signing_key.get_secret_value():
        wanted.append(_webhooks(timedelta(seconds=settings.webhooks_every_s)))
    elif settings.webhooks_every_s:
        log.info("SPOT_SIGNING_KEY is not set: this worker sends no webhooks")
    return wanted


async def make_schedules(client: Client, wanted: Sequence[ScheduledWorkflow]) -> None:
    """Retries until every schedule is there: without them a control plane looks healthy and decides nothing."""
    for one in wanted:
        while True:
            try:
                await ensure_schedule(client, one)
                break
            except RPCError as error:
                log.warning("cannot make the schedule %s (%s); trying again in %g s", one.schedule_id, error, RETRY_S)
                await asyncio.sleep(RETRY_S)


def _autopilot(every: timedelta, moves: int) -> ScheduledWorkflow:
    return ScheduledWorkflow(
        autopilot.AUTOPILOT_SCHEDULE,
        autopilot.AUTOPILOT_WORKFLOW,
        autopilot.EvaluateInput(moves),
        every,
        jitter=every / 10,
        longest=autopilot.PASS_LIMIT,
    )


def _reconciliation(every: timedelta) -> ScheduledWorkflow:
    name, workflow = reconciliation.RECONCILE_SCHEDULE, reconciliation.RECONCILE_WORKFLOW
    return ScheduledWorkflow(name, workflow, reconciliation.ReconcileInput(), every, jitter=every / 10)


def _savings(every: timedelta) -> list[ScheduledWorkflow]:
    """Accrual, and once a day the last seven days again: what was recorded late, and what on-demand cost then."""
    accrue, again = savings.AccrueInput(), savings.AccrueInput(again_h=RECHECK_H)
    week, summary = savings.WEEKLY_SUMMARY_WORKFLOW, savings.WeeklySummaryInput()
    return [
        ScheduledWorkflow("savings/accrue", savings.ACCRUE_WORKFLOW, accrue, every, jitter=every / 10),
        ScheduledWorkflow("savings/recheck", savings.ACCRUE_WORKFLOW, again, _DAY, jitter=timedelta(minutes=30)),
        ScheduledWorkflow("savings/week", week, summary, SUMMARY_EVERY, jitter=timedelta(minutes=5)),
    ]


def _expiry(days: float) -> ScheduledWorkflow:
    given = savings.ExpireInput(days)
    return ScheduledWorkflow("events/expire", savings.EXPIRE_WORKFLOW, given, _DAY, jitter=timedelta(hours=1))


def _webhooks(every: timedelta) -> ScheduledWorkflow:
    given = webhooks.CollectEventsInput()
    return ScheduledWorkflow("webhooks/dispatch", webhooks.DISPATCH_WORKFLOW, given, every, jitter=every / 10)
