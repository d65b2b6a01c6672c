"""What routes work with: made once by `connect`, handed to the app."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from api.access.caches import ServerOwners, TokenCache
from api.access.failed_sign_ins import FailedSignIns
from api.access.instance_identity import IdentityVerifier
from api.database import Database
from api.settings import Settings
from api.streams.database_events import DatabaseEvents
from api.streams.hub import Hub
from api.temporal.client import WorkflowClient
from db.engine.session import make_engine
from domain.heartbeats import HEARTBEAT_S, HeartbeatRate
from telemetry.metrics.registries import ApiMetrics


@dataclass
class Services:
    settings: Settings
    database: Database
    temporal: WorkflowClient
    hub: Hub
    identities: IdentityVerifier
    metrics: ApiMetrics
    heartbeat_rate: HeartbeatRate  # of agents; `api.background.silent_agents` counts their hosts
    tokens: TokenCache = field(default_factory=TokenCache)
    server_owners: ServerOwners = field(default_factory=ServerOwners)
    failed_sign_ins: FailedSignIns = field(default_factory=FailedSignIns)


def connect(settings: Settings) -> Services:
    """Make the services from the settings; nothing is contacted yet."""
    database = Database(make_engine(settings.database_url.get_secret_value(), pool_size=20))
    hub = Hub(DatabaseEvents(database.sessions))
    return Services(
        settings=settings,
        database=database,
        temporal=WorkflowClient(settings.temporal_address, settings.temporal_namespace),
        hub=hub,
        identities=IdentityVerifier.from_file(settings.identity_certificate),
        heartbeat_rate=HeartbeatRate(HEARTBEAT_S, settings.heartbeats_per_second),
        metrics=ApiMetrics(database.engine, database.sessions, lambda: hub.readers),
    )


async def services_of(request: Request) -> Services:
    """Async on purpose: FastAPI runs a plain function in a thread, and every request would wait for that."""
    services: Services = request.app.state.services
    return services


ServicesDep = Annotated[Services, Depends(services_of)]
