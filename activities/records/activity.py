"""The activities that write records to MySQL and read cool-downs from it. Sync: PyMySQL blocks its thread.

Each failure is worth another try. Its type is what Temporal shows:

    NotYet         earlier records are missing, of this stream or of an earlier operation;
                   or the client has no row, and somebody has to put it back
    Unavailable    see `activities.database_errors`
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database_errors import database_unavailable
from activities.heartbeats import heartbeats
from activities.records.batch import EarlierOperationUnfinished, RecordsMissing, apply_batch
from activities.records.pools import pools_in_cool_down
from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import UnknownClient
from domain.errors import Failure
from domain.records import COOL_DOWNS, RECORD, CoolDowns, CoolDownsInput, Measurement, RecordBatch

T = TypeVar("T")


def _measure_nothing(_: Sequence[Measurement]) -> None:
    """For a caller that does not measure."""


class RecordActivities:
    """`observe` gets the durations that the records contain, once they are committed."""

    def __init__(
        self, sessions: SessionFactory, observe: Callable[[Sequence[Measurement]], None] = _measure_nothing
    ) -> None:
        self._sessions = sessions
        self._observe = observe

    @activity.defn(name=RECORD)
    def record(self, batch: RecordBatch) -> int:
        """Apply the batch once, however often it is sent; return the last number applied."""
        measured: list[Measurement] = []

        def work(session: Session) -> int:
            measured.clear()  # a deadlock may have undone an attempt before this one
            return apply_batch(session, batch, measured)

        with heartbeats():
            last = self._done(work, f"records of {batch.stream}")
        self._observe(measured)
        return last

    @activity.defn(name=COOL_DOWNS)
    def cool_downs(self, asked: CoolDownsInput) -> CoolDowns:
        """The pools of a region that rest now, whichever server found out."""
        found = self._done(lambda session: pools_in_cool_down(session, asked.region), f"cool-downs of {asked.region}")
        return CoolDowns({pool: until.timestamp() for pool, until in found.items()})

    def _done(self, work: Callable[[Session], T], what: str) -> T:
        try:
            with database_unavailable(what):
                return in_transaction(self._sessions, work)
        except (EarlierOperationUnfinished, RecordsMissing, UnknownClient) as error:
            raise ApplicationError(str(error), type=Failure.NOT_YET.value) from None


def record_activities(
    sessions: SessionFactory, observe: Callable[[Sequence[Measurement]], None] = _measure_nothing
) -> list[Callable[..., Any]]:
    """The activities that a worker registers."""
    fleet = RecordActivities(sessions, observe)
    return [fleet.record, fleet.cool_downs]
