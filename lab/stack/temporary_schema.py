"""A schema of a stack's own on a database server of somebody else's, for as long as the stack lasts."""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from db.engine.session import database_url, error_code
from lab.stack.database import Database, check_connection, query_value, url_text
from lab.stack.processes import Process, StartFailed
from lab.stack.settings import REPOSITORY, inherited

# Also what an account has to be allowed: GRANT ALL ON `test\_%`.* TO ...
SCHEMA_PREFIX = "test_"
_MAY_NOT = {1044, 1045, 1142, 1227}


def new_schema_name() -> str:
    """A schema's, that nobody else has: several suites may run on one server."""
    return SCHEMA_PREFIX + uuid.uuid4().hex[:12]


class TemporarySchema(Database):
    """Reached through a process that can be killed, as a server of our own could be."""

    def __init__(self, server: str, port: int, log: Path) -> None:
        self._server, self.schema = Database(server), new_schema_name()
        there = database_url(server)
        super().__init__(url_text(there.set(host="127.0.0.1", port=port, database=self.schema)))
        target = [str(port), there.host or "127.0.0.1", str(there.port or 3306)]
        self.process = Process(
            name="database",
            argv=[sys.executable, "-m", "lab.stack.tcp_proxy", *target],
            log=log,
            environment=inherited(os.environ),
            probe=lambda: check_connection(self.url),
            folder=REPOSITORY,
        )

    @property
    def direct_url(self) -> str:
        """The schema's URL on the server itself."""
        return url_text(database_url(self._server.url).set(database=self.schema))

    def create(self) -> None:
        """Make the schema, past the process. Raise StartFailed as `admitted` does."""
        check_server(self._server.url)
        self._server.create_schema(self.schema)

    def drop(self) -> None:
        self._server.drop_schema(self.schema)


def check_server(server: str) -> str:
    """The server's version, once a schema has been made there and dropped; raise StartFailed, saying what is amiss."""
    try:
        there = database_url(server)
    except (ValueError, SQLAlchemyError) as error:
        raise StartFailed(f"DATABASE_URL cannot be read: {error}") from error
    where, name = f"{there.host}:{there.port or 3306}", new_schema_name()
    try:
        version = query_value(url_text(there.set(database="")), "SELECT VERSION()")
    except SQLAlchemyError as error:
        raise StartFailed(f"the database server of DATABASE_URL, {where}, cannot be used: {_why(error)}") from error
    try:
        Database(server).create_schema(name)
        Database(server).drop_schema(name)
    except SQLAlchemyError as error:
        if error_code(error) not in _MAY_NOT:
            raise
        grant = rf"GRANT ALL ON `{SCHEMA_PREFIX.replace('_', chr(92) + '_')}%`.* TO '{there.username}'@..."
        raise StartFailed(
            f"the account {there.username!r} may not create schemas named {SCHEMA_PREFIX}... on {where}, which the"
            f" tests need: {grant}. The server says: {_why(error)}"
        ) from error
    return str(version)


def _why(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error)
