"""A schema of a test's own. The fixtures are in `tests.database_fixtures`, named there as a pytest plugin."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from lab.stack.database import Database
from lab.stack.temporary_schema import new_schema_name

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def unique(prefix: str) -> str:
    """An identifier that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def configured_server() -> str:
    """The URL of the server that the suite was told to run on; empty: it makes its own."""
    return os.environ.get("DATABASE_URL", "")


@contextmanager
def temporary_schema(server: Database) -> Iterator[str]:
    """An empty schema's URL; the schema is dropped at the end."""
    name = new_schema_name()
    url = server.create_schema(name)
    try:
        yield url
    finally:
        server.drop_schema(name)
