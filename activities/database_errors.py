"""The records as the market's activities reach them: what fails there fails in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from temporalio.exceptions import ApplicationError

from db.engine.session import is_deadlock, is_unreachable
from domain.errors import Failure


@contextmanager
def database_unavailable(what: str) -> Iterator[None]:
    """Unavailable when the database is away, or rolled us back for another's sake: worth another try."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if not (isinstance(error, PoolTimeout) or is_deadlock(error) or is_unreachable(error)):
            raise
        cause = getattr(error, "orig", None) or error
        # Without the statement: a workflow's history is no place for it.
        raise ApplicationError(f"{what}: {cause}", type=Failure.UNAVAILABLE.value) from None
