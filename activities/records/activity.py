"""The fleet's activities: records into MySQL, cool-downs out of it. Sync: PyMySQL blocks its thread.

Failures, all worth another try (the type is what Temporal shows):

    NotYet         an earlier operation's records, or earlier ones of this stream, are not in yet;
                   or the client has no row, and somebody has to put it back
    Unavailable    the database is away, or rolled us back for another's sake
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.ec2.heartbeats import heartbeats
from activities.records.batch import EarlierOperationUnfinished, RecordsMissing, apply_batch
from activities.records.pools import pools_in_cool_down
from db.engine.session import SessionFactory, in_transaction, is_deadlock, is_unreachable
from db.event_log.writing import UnknownClient
from domain.errors import Failure
from domain.records import COOL_DOWNS, RECORD, CoolDowns, CoolDownsInput, Measurement, RecordBatch

T = TypeVar("T")


def _measure_nothing(_: Sequence[Measurement]) -> None:
    """Nobody measures."""


class RecordActivities:
    """`heard`: is told what the records said of durations, once they are committed."""

    def __init__(
        self, sessions: SessionFactory, heard: Callable[[Sequence[Measurement]], None] = _measure_nothing
    ) -> None:
        self._sessions = sessions
        self._heard = heard

    @activity.defn(name=RECORD)
    def record(self, batch: RecordBatch) -> int:
        """Apply the batch, once however often it is sent; return the last number applied."""
        told: list[Measurement] = []

        def work(session: Session) -> int:
            told.clear()  # of an attempt that a deadlock took back
            return apply_batch(session, batch, told)

        with heartbeats():
            last = self._done(work, f"records of {batch.stream}")
        self._heard(told)
        return last

    @activity.defn(name=COOL_DOWNS)
    def cool_downs(self, asked: CoolDownsInput) -> CoolDowns:
        """The pools of a region that are not to be chosen now, whoever's server found out."""
        found = self._done(lambda session: pools_in_cool_down(session, asked.region), f"cool-downs of {asked.region}")
        return CoolDowns({pool: until.timestamp() for pool, until in found.items()})

    def _done(self, work: Callable[[Session], T], what: str) -> T:
        try:
            return in_transaction(self._sessions, work)
        except (EarlierOperationUnfinished, RecordsMissing, UnknownClient) as error:
            raise ApplicationError(str(error), type=Failure.NOT_YET.value) from None
        except (DBAPIError, PoolTimeout) as error:
            _raise_unavailable(error, what)


def _raise_unavailable(error: DBAPIError | PoolTimeout, what: str) -> NoReturn:
    """Without the statement: a workflow's history is no place for it."""
    if isinstance(error, PoolTimeout) or is_deadlock(error) or is_unreachable(error):
        cause = getattr(error, "orig", None) or error
        raise ApplicationError(f"{what}: {cause}", type=Failure.UNAVAILABLE.value) from None
    raise error


def record_activities(
    sessions: SessionFactory, heard: Callable[[Sequence[Measurement]], None] = _measure_nothing
) -> list[Callable[..., Any]]:
    """What a control worker registers."""
    fleet = RecordActivities(sessions, heard)
    return [fleet.record, fleet.cool_downs]
