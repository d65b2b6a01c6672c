"""Turns errors of the database into failures that a workflow may retry."""

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
    """Raise Unavailable when the database cannot be reached, or rolled the transaction back after a deadlock."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        if not (isinstance(error, PoolTimeout) or is_deadlock(error) or is_unreachable(error)):
            raise
        cause = getattr(error, "orig", None) or error
        # Without the SQL statement, which does not belong into a workflow's history.
        raise ApplicationError(f"{what}: {cause}", type=Failure.UNAVAILABLE.value) from None
