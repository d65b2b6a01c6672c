"""The database as routes use it: a query in a worker thread, never on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Engine, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction, make_session_factory

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 32  # asyncio's own choice, cores + 4, would leave most of the pool's 30 connections unused
RESCUE_WAIT_S = 2.0  # a rescue takes a database that is slower than this for one that is down


class DatabaseTooSlow(PoolTimeout):
    """The database did not answer in time; what was asked of it may still be done."""


@asynccontextmanager
async def within_rescue_time(rescue: bool) -> AsyncIterator[None]:
    """Limit a rescue's wait for the database to RESCUE_WAIT_S, a free thread included; others wait as long as it takes.

    Without the limit a host that swallows packets would cost a rescue the driver's whole timeout at each query.
    """
    try:
        async with asyncio.timeout(RESCUE_WAIT_S if rescue else None):
            yield
    except TimeoutError as error:
        raise DatabaseTooSlow(f"the database gave no answer within {RESCUE_WAIT_S:g} s") from error


class Database:
    """Runs functions whose first argument is a session."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sessions: SessionFactory = make_session_factory(engine)

    async def read(self, query: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        def work() -> T:
            with self.sessions() as session:
                return query(session, *args, **kwargs)

        return await asyncio.to_thread(work)

    async def write(self, command: Callable[Concatenate[Session, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run in one transaction, and once more after a deadlock."""
        return await asyncio.to_thread(in_transaction, self.sessions, lambda session: command(session, *args, **kwargs))

    def check(self) -> None:
        """Raise SQLAlchemy's error unless the database answers."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
