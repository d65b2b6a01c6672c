"""Fixtures for tests of the database: on DATABASE_URL's server if it is set, else on a private one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.clients.clients import create_client
from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from lab.stack.database import Database
from tests.database_schemas import NOW, configured_server, temporary_schema, unique


@pytest.fixture(scope="session")
def db_server(request: pytest.FixtureRequest) -> Database:
    if url := configured_server():
        return Database(url)
    private: Database = request.getfixturevalue("database_server")
    return private


@pytest.fixture
def empty_schema(db_server: Database) -> Iterator[str]:
    with temporary_schema(db_server) as url:
        yield url


@pytest.fixture
def own(db_server: Database) -> Iterator[Engine]:
    """An engine on a migrated schema of the test's own."""
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        engine = make_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture(scope="module")
def sessions(db_server: Database) -> Iterator[SessionFactory]:
    """Sessions on a migrated schema of the module's own."""
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        engine = make_engine(url, pool_size=12)
        yield make_session_factory(engine)
        engine.dispose()


@pytest.fixture
def client_id(sessions: SessionFactory) -> str:
    """A client that no other test knows; its first event is its creation."""
    name = unique("cli")
    with sessions.begin() as session:
        create_client(session, name, name, NOW)
    return name


@pytest.fixture
def session(sessions: SessionFactory) -> Iterator[Session]:
    with sessions() as opened:
        yield opened
