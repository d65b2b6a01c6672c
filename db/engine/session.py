"""Engine and transactions. The engine is made in a composition root, never at import."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TypeVar

from pymysql.constants import FIELD_TYPE
from pymysql.converters import conversions
from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

T = TypeVar("T")
SessionFactory = sessionmaker[Session]
log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 15
# Below the read timeout: a wait for a lock ends with its own error (1205), not as a lost connection.
LOCK_WAIT_S = 5
_SQL_MODE = "STRICT_TRANS_TABLES,NO_ZERO_IN_DATE,NO_ZERO_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"
_INIT = f"SET time_zone = '+00:00', innodb_lock_wait_timeout = {LOCK_WAIT_S}, sql_mode = '{_SQL_MODE}'"
# PyMySQL's own converter uses a regular expression for each DATETIME, and a fleet page has hundreds of them.
_CONVERSIONS = {**conversions, FIELD_TYPE.DATETIME: datetime.fromisoformat}

_DEADLOCK = 1213
# cannot connect; gone away; lost during query; read-only (failing over); too many connections; shutting down;
# connection killed; waited too long for a lock (not tried again in place: the caller has a time limit too)
_UNREACHABLE = frozenset({1205, 2002, 2003, 2006, 2013, 2055, 1290, 1040, 1053, 1927, 1158, 1159, 1160, 1161, 4031})


def database_url(text: str) -> URL:
    """The URL for SQLAlchemy. `mysql://` and `mariadb://` are accepted: PyMySQL is the driver of both."""
    url = make_url(text)
    if url.get_backend_name() not in {"mysql", "mariadb"}:
        raise ValueError(f"DATABASE_URL is for {url.get_backend_name()}; write mysql+pymysql://user@host:3306/name")
    return url.set(drivername="mysql+pymysql").update_query_dict({"charset": "utf8mb4"})


def make_engine(url: str, pool_size: int = 10, max_overflow: int = 10) -> Engine:
    """An engine whose sessions are READ COMMITTED, in UTC, and strict.

    READ COMMITTED: a poller sees what was committed since its last statement, and locking reads
    lock the rows they find and not the gaps between.
    """
    return create_engine(
        database_url(url),
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        max_overflow=max_overflow,
        pool_pre_ping=True,
        pool_recycle=1800,
        pool_timeout=10,
        hide_parameters=True,  # rows hold users' text, and errors end in logs and workflow histories
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": READ_TIMEOUT_S,
            "write_timeout": READ_TIMEOUT_S,
            "init_command": _INIT,
            "conv": _CONVERSIONS,
        },
    )


def make_session_factory(engine: Engine) -> SessionFactory:
    """Sessions whose objects stay readable after commit."""
    return sessionmaker(engine, expire_on_commit=False)


def error_code(error: BaseException) -> int | None:
    """MySQL's error number; None if the error is not the database's."""
    args = getattr(getattr(error, "orig", None), "args", ())
    return args[0] if args and isinstance(args[0], int) else None


def is_deadlock(error: BaseException) -> bool:
    """Whether the transaction was rolled back in favour of another: a second try may succeed."""
    return any(error_code(one) == _DEADLOCK for one in _chain(error))


def is_unreachable(error: BaseException) -> bool:
    """Whether the database cannot be used now: it is down, read-only, or refuses connections."""
    return any(
        isinstance(one, DBAPIError) and (one.connection_invalidated or error_code(one) in _UNREACHABLE)
        for one in _chain(error)
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and its causes: after a deadlock the rollback to a savepoint fails too, and hides the deadlock."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def in_transaction(sessions: SessionFactory, work: Callable[[Session], T], attempts: int = 5) -> T:
    """Do `work` in one transaction and return what it returns; again, at once, after a deadlock.

    `work` may run several times: it must change nothing but its session.
    """
    for attempt in range(1, attempts + 1):
        try:
            with sessions.begin() as session:
                return work(session)
        except DBAPIError as error:
            if not is_deadlock(error) or attempt == attempts:
                raise
            log.info("transaction rolled back by a deadlock, attempt %d of %d", attempt, attempts)
    raise AssertionError("unreachable: the last attempt returns or raises")
