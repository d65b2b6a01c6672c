"""The system's own health and versions."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

from fastapi import APIRouter
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.access.callers import AdminCaller, GuardedRoute
from api.services import Services, ServicesDep
from api.temporal.client import WorkflowCallError
from api.views.system import (
    ApiProcessView,
    DatabaseView,
    PollerView,
    ScheduleView,
    SystemView,
    TemporalView,
    VersionsView,
)
from db.engine import schema
from db.status import system

router = APIRouter(prefix="/system", tags=["system"], route_class=GuardedRoute)

_STARTED_AT = datetime.now(UTC)


@dataclass(frozen=True)
class _DatabaseFacts:
    version: str
    migration: str | None
    counts: dict[str, int]
    ms: float


@router.get("")
async def show(caller: AdminCaller, services: ServicesDep) -> SystemView:
    """What runs, in which version, and how it is; also while the database or Temporal is away."""
    database, told = await _database(services)
    temporal, temporal_version = await _temporal(services)
    return SystemView(
        versions=VersionsView(
            product=_product_version(),
            python=platform.python_version(),
            database=told.version if told else "",
            temporal=temporal_version,
        ),
        database=database,
        temporal=temporal,
        process=ApiProcessView(
            host=platform.node(), pid=os.getpid(), started_at=_STARTED_AT, stream_readers=services.hub.readers
        ),
        counts=told.counts if told else {},
        at=datetime.now(UTC),
    )


async def _database(services: Services) -> tuple[DatabaseView, _DatabaseFacts | None]:
    told, detail = None, ""
    try:
        told = await services.database.read(_ask)
    except (DBAPIError, PoolTimeout) as error:
        detail = str(getattr(error, "orig", None) or error)
    view = DatabaseView(
        ok=told is not None,
        address=services.settings.database_address,
        detail=detail,
        ms=told.ms if told else None,
        migration=told.migration if told else None,
        migration_wanted=schema.latest(),
    )
    return view, told


def _ask(session: Session) -> _DatabaseFacts:
    version = system.version(session)  # the first statement connects; the second shows what a statement costs
    started = time.perf_counter()
    migration = system.migration(session)
    ms = round(1000 * (time.perf_counter() - started), 2)
    return _DatabaseFacts(version, migration, system.counts(session, datetime.now(UTC)), ms)


async def _temporal(services: Services) -> tuple[TemporalView, str]:
    state, detail = None, ""
    try:
        state = await services.temporal.temporal_state()
    except WorkflowCallError as error:
        detail = str(error)
    view = TemporalView(
        ok=state is not None,
        address=services.temporal.address,
        namespace=services.temporal.namespace,
        detail=detail,
        ui_url=services.settings.temporal_ui_url,
        pollers=[PollerView.model_validate(one) for one in state.pollers] if state else [],
        schedules=[ScheduleView.model_validate(one) for one in state.schedules] if state else [],
    )
    return view, state.version if state else ""


def _product_version() -> str:
    """As it was packaged; an image runs from plain files and has no package."""
    try:
        return metadata.version("spot-optimizer")
    except metadata.PackageNotFoundError:
        return os.environ.get("SPOT_VERSION", "")
