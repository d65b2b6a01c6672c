"""Wait for the database; until it answers, log which one at which address."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.exc import OperationalError

from db.engine.session import CONNECT_TIMEOUT_S, database_url, is_unreachable

log = logging.getLogger(__name__)


class DatabaseNotReachable(Exception):
    """No answer within the time given; says which database and what it answered."""


def address_of(url: URL) -> str:
    """The database's address, without user and password."""
    return f"{url.host or 'localhost'}:{url.port or 3306}/{url.database or ''}"


def wait_for_database(
    url: str,
    timeout_s: float | None = None,
    every_s: float = 1.0,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when the database server answers; its schema may still be missing.

    Tries for ever when `timeout_s` is None, else raises DatabaseNotReachable. Wrong credentials are
    raised at once: waiting does not help.
    """
    where = database_url(url)
    engine = create_engine(where._replace(database=None), connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    try:
        while (answer := _refusal(engine)) is not None:
            message = f"database {address_of(where)} (DATABASE_URL) does not answer: {answer}"
            if deadline is not None and time.monotonic() > deadline:
                raise DatabaseNotReachable(message)
            log.warning("%s; trying again in %g s", message, every_s)
            sleep(every_s)
    finally:
        engine.dispose()


def _refusal(engine: Engine) -> str | None:
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError as error:
        if not is_unreachable(error):
            raise
        return str(error.orig)
    return None
