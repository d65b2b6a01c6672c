"""The activities of domain.savings.contract. Sync: PyMySQL blocks its thread."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.exc import IntegrityError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database_errors import database_unavailable
from activities.heartbeats import heartbeats
from db.autopilot.decisions import expire_decisions
from db.engine.session import SessionFactory
from db.event_log.writing import expire_events
from db.savings.accrual import accrue
from db.savings.accrual_lock import AccrualBusy
from db.savings.weekly_summary import write_weekly_summaries
from db.webhooks.delivery_log import expire_deliveries
from domain.errors import Failure
from domain.savings import contract

MOST_ASKED = 50  # types whose price is asked for after one accrual


def _now() -> datetime:
    return datetime.now(UTC)


class SavingsActivities:
    def __init__(self, sessions: SessionFactory, clock: Callable[[], datetime] = _now) -> None:
        self._sessions = sessions
        self._clock = clock

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.accrue, self.tell_week, self.expire]

    @activity.defn(name=contract.ACCRUE, no_thread_cancel_exception=True)
    def accrue(self, given: contract.AccrueInput) -> contract.AccrueResult:
        with database_unavailable("accruing savings"), _alone(), heartbeats():
            done = accrue(self._sessions, self._clock(), timedelta(hours=given.again_h))
        return contract.AccrueResult(
            done.servers, done.accruals, done.corrections, done.settled, _by_region(done.lacking)
        )

    @activity.defn(name=contract.SEND_WEEKLY_SUMMARY, no_thread_cancel_exception=True)
    def tell_week(self, given: contract.WeeklySummaryInput) -> contract.WeeklySummaryResult:
        with database_unavailable("telling the week"), heartbeats():
            week, clients = write_weekly_summaries(self._sessions, self._clock())
        return contract.WeeklySummaryResult(week.date().isoformat(), clients)

    @activity.defn(name=contract.EXPIRE_EVENTS, no_thread_cancel_exception=True)
    def expire(self, given: contract.ExpireInput) -> contract.ExpireResult:
        before = self._clock() - timedelta(days=given.days)
        with database_unavailable("expiring events"), heartbeats():
            return contract.ExpireResult(
                expire_events(self._sessions, before),
                expire_deliveries(self._sessions, before),
                expire_decisions(self._sessions, before),
            )


def _by_region(lacking: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """A few at a time: each is a call of the Pricing API."""
    found: dict[str, list[str]] = {}
    for region, kind in sorted(lacking)[:MOST_ASKED]:
        if region:
            found.setdefault(region, []).append(kind)
    return found


@contextmanager
def _alone() -> Iterator[None]:
    """The schedule's accrual and the daily one may meet. One of them comes again, and finds what the other has
    booked.
    """
    try:
        yield
    except (AccrualBusy, IntegrityError) as error:
        message = f"accruing savings: {getattr(error, 'orig', error)}"
        raise ApplicationError(message, type=Failure.UNAVAILABLE.value) from None
