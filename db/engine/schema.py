"""The schema: created, upgraded, downgraded. It is safe to run twice, and by two processes at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from db.engine.session import CONNECT_TIMEOUT_S, database_url

# DDL on a grown table takes longer than any query: no read timeout here.
_OPTIONS = {"connect_timeout": CONNECT_TIMEOUT_S, "init_command": "SET time_zone = '+00:00'"}
LOCK_S = 300


class SchemaBusy(Exception):
    """Another process is migrating this schema and did not end in the time given."""


def upgrade(url: str, revision: str = "head") -> str | None:
    """Create the schema if it is missing and bring it to `revision`; return where it is now."""
    _create_schema(url)
    return _locked(url, lambda connection: command.upgrade(_config(connection), revision))


def downgrade(url: str, revision: str) -> str | None:
    """Take the schema back to `revision`; `base` is empty. The rows of dropped tables are lost."""
    return _locked(url, lambda connection: command.downgrade(_config(connection), revision))


def current(url: str) -> str | None:
    """The schema's revision; None when nothing was ever made in it."""
    with _connection(url) as connection:
        return _revision(connection)


def latest() -> str | None:
    """The revision that this code is written for."""
    return ScriptDirectory.from_config(_config(None)).get_current_head()


def _locked(url: str, work: Callable[[Connection], None]) -> str | None:
    """Hold the lock of the schema's migrations: DDL has no transaction that would keep two apart."""
    with _connection(url) as connection:
        _lock(connection, f"migrate.{connection.engine.url.database}"[:64])
        work(connection)
        return _revision(connection)  # closing the connection frees the lock in any case


def _lock(connection: Connection, name: str) -> None:
    deadline = time.monotonic() + LOCK_S
    while not connection.scalar(text("SELECT GET_LOCK(:name, 5)"), {"name": name}):
        if time.monotonic() > deadline:
            raise SchemaBusy(f"another process holds the lock {name!r}: see SHOW PROCESSLIST for who it is")


@contextmanager
def _connection(url: str) -> Iterator[Connection]:
    engine = create_engine(database_url(url), connect_args=_OPTIONS, isolation_level="READ COMMITTED")
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _create_schema(url: str) -> None:
    """Create the schema only where it is missing: an account with rights on its own schema alone may not try."""
    where = database_url(url)
    engine = create_engine(where._replace(database=None), connect_args=_OPTIONS)
    try:
        with engine.begin() as connection:
            found = text("SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = :name")
            if connection.scalar(found, {"name": where.database}):
                return
            name = engine.dialect.identifier_preparer.quote_identifier(where.database or "")
            connection.execute(text(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"))
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).resolve().parents[1] / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
