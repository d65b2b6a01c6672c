"""The registries: what each process of the control plane measures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from sqlalchemy import Engine

from db.engine.session import SessionFactory
from db.status.control_plane import ControlPlaneStatus, read_control_plane_status
from telemetry.metrics.connection_pool import ConnectionPoolCollector
from telemetry.metrics.fleet import FleetCollector
from telemetry.metrics.http_requests import RequestDurations


def fleet_reader(sessions: SessionFactory) -> Callable[[], ControlPlaneStatus]:
    def read() -> ControlPlaneStatus:
        with sessions() as session:
            return read_control_plane_status(session, datetime.now(UTC))

    return read


def measure_process(registry: CollectorRegistry, engine: Engine, sessions: SessionFactory) -> None:
    """Measure what every process of the control plane has: itself, its database connections, the state of the fleet."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ConnectionPoolCollector(engine))
    FleetCollector(fleet_reader(sessions)).register(registry)


class ApiMetrics:
    """`readers`: how many event streams are open now."""

    def __init__(self, engine: Engine, sessions: SessionFactory, readers: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        measure_process(self.registry, engine, sessions)
        self.requests = RequestDurations(self.registry)
        gauge = Gauge("spot_optimizer_event_readers", "Open event streams", registry=self.registry)
        gauge.set_function(readers)
