"""One accrual at a time: an older one must not undo, with what it has read, what a newer one has booked.

The lock is MySQL's GET_LOCK: it belongs to one connection and ends with it. If it is lost before the accrual is over,
nothing more is booked, because each transaction checks the lock last. If another accrual took the lock meanwhile and
did not see such a transaction's entries, it books the same numbers and fails on them (`db.savings.booking`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction

T = TypeVar("T")

WAIT_S = 5  # for another to end; below the read timeout
# After so long the server drops a holder that has gone silent (its machine is gone).
_SILENT_S = 300
# The lock's name in SQL. It contains the schema: lock names are shared by all schemas of a server.
LOCK = "CONCAT('savings/', LEFT(SHA2(DATABASE(), 256), 40))"


class AccrualBusy(Exception):
    """Another accrual runs, or took over: try again later."""


@dataclass(frozen=True)
class AccrualLock:
    """The lock, while it is held."""

    sessions: SessionFactory
    _holder: Connection
    _holder_id: int

    def transaction(self, work: Callable[[Session], T]) -> T:
        """As `in_transaction`. Raise AccrualBusy, with nothing done, if the lock is lost."""

        def guarded(session: Session) -> T:
            done = work(session)
            self._holder.execute(text("SELECT 1"))  # a sign of life
            if session.scalar(text(f"SELECT IS_USED_LOCK({LOCK})")) != self._holder_id:
                raise AccrualBusy("the lock of the accrual was lost")
            return done

        return in_transaction(self.sessions, guarded)


@contextmanager
def hold_accrual_lock(sessions: SessionFactory) -> Iterator[AccrualLock]:
    """Raise AccrualBusy if another does not end within WAIT_S."""
    with sessions() as session:
        holder = session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        try:
            holder.execute(text(f"SET SESSION wait_timeout = {_SILENT_S}"))
            ask = text(f"SELECT GET_LOCK({LOCK}, :wait), CONNECTION_ID()")
            got, holder_id = holder.execute(ask, {"wait": WAIT_S}).one()
            if got != 1:
                raise AccrualBusy("another accrual is under way")
            yield AccrualLock(sessions, holder, holder_id)
        finally:
            session.invalidate()  # closed and not returned to the pool: this frees the lock
