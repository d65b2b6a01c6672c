"""Fixtures for tests of the API; a test module names them in `pytest_plugins`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from api.services import Services, connect
from db.engine import schema
from domain.heartbeats import HEARTBEAT_S, HEARTBEATS_A_SECOND, HeartbeatRate
from lab.stack.database import Database
from tests.api_world import FakeWorkflowClient, World, new_tenant, settings_for
from tests.database_schemas import temporary_schema

pytest_plugins = ["tests.database_fixtures"]


@pytest.fixture(scope="session")
def api_schema(db_server: Database) -> Iterator[str]:
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        yield url


@pytest.fixture(scope="session")
def api_services(api_schema: str) -> Iterator[Services]:
    services = connect(settings_for(api_schema))
    yield services
    services.database.engine.dispose()


@pytest.fixture(scope="session")
def api_app(api_services: Services) -> FastAPI:
    return create_app(api_services)


@pytest.fixture
async def world(api_app: FastAPI, api_services: Services, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Two new clients and a new fake on the session's database."""
    # The fake's operations never come to be recorded; nothing is gained by waiting for them.
    monkeypatch.setattr("api.requests.operations.RECORD_WAIT_S", 0)
    monkeypatch.setattr("api.requests.adoption.RECORD_WAIT_S", 0)
    temporal = FakeWorkflowClient()
    services = Services(
        api_services.settings,
        api_services.database,
        temporal,
        api_services.hub,
        api_services.identities,
        api_services.metrics,
        HeartbeatRate(HEARTBEAT_S, HEARTBEATS_A_SECOND),
    )
    api_app.state.services = services
    transport = httpx.ASGITransport(api_app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
        yield World(services, temporal, http, new_tenant(services), new_tenant(services))
