"""What tests share: one database server and one Temporal server a session, and whole stacks where asked for.

A stack has a schema and a namespace of its own on these servers. Tests that kill a server have servers of their own.

Everything a fixture starts it stops, also on Ctrl-C (pytest then unwinds its fixtures) and when
pytest itself is killed (the children's parent-death signal).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from lab.stack import database, temporal, temporary_schema
from lab.stack.ports import Leases
from lab.stack.processes import StartFailed
from lab.stack.settings import StackSettings
from lab.stack.stack import Stack
from tests.database_schemas import configured_server
from tests.file_order import in_order
from tests.memory_folder import memory_folder

VERSION = pytest.StashKey[str]()


@dataclass(frozen=True)
class SharedServers:
    """URL of a database server, and address of a Temporal server."""

    database_server: str
    temporal_server: str


def pytest_sessionstart(session: pytest.Session) -> None:
    """Where DATABASE_URL names a server that cannot be used, the session ends here."""
    if server := configured_server():
        try:
            session.config.stash[VERSION] = temporary_schema.check_server(server)
        except StartFailed as failed:
            pytest.exit(str(failed), returncode=pytest.ExitCode.USAGE_ERROR)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    by_file: dict[str, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.location[0], []).append(item)
    items[:] = [item for file in in_order(list(by_file)) for item in by_file[file]]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if version := config.stash.get(VERSION, ""):
        terminalreporter.write_line(
            f"database: {version} of DATABASE_URL, in schemas named {temporary_schema.SCHEMA_PREFIX}..."
        )


@pytest.fixture(scope="session")
def leases() -> Iterator[Leases]:
    """Ports and loopback networks that nobody else takes while the session lasts."""
    with Leases() as held:
        yield held


@pytest.fixture(scope="session")
def database_server(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[database.PrivateDatabase]:
    """A private server, empty but for its own schema. No test kills it, so its data may be in memory alone."""
    with memory_folder(tmp_path_factory.mktemp("database")) as var:
        with database.private(var, leases.port()) as server:
            yield server
        database.clean(var)


@pytest.fixture(scope="module")
def database_url(database_server: database.PrivateDatabase, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty schema of the module's own; no migration has run."""
    name = "spot_" + re.sub(r"\W", "_", request.module.__name__)[-50:]
    yield database_server.create_schema(name)
    database_server.drop_schema(name)


@pytest.fixture(scope="session")
def temporal_server(leases: Leases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a dev server that keeps its state in memory."""
    log = tmp_path_factory.mktemp("temporal") / "temporal.log"
    server = temporal.TemporalServer(port=leases.port(), http=leases.port(), log=log)
    process = server.process()
    process.start()
    try:
        process.wait_ready()
        yield server.address
    finally:
        process.stop()


@pytest.fixture(scope="session")
def shared_servers(request: pytest.FixtureRequest, temporal_server: str) -> SharedServers:
    """Where a stack makes its schema and its namespace."""
    if server := configured_server():
        return SharedServers(server, temporal_server)
    private: database.PrivateDatabase = request.getfixturevalue("database_server")
    return SharedServers(private.url, temporal_server)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Everything running, servers of its own included: for tests that leave it as they found it."""
    settings = StackSettings(var=tmp_path_factory.mktemp("stack"), database_server=configured_server())
    with Stack(settings) as running:
        yield running
    database.clean(running.settings.var)
