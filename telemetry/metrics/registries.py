"""The registries: what each process of the control plane measures."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, Gauge, GCCollector, PlatformCollector, ProcessCollector
from sqlalchemy import Engine

from db.engine.session import SessionFactory
from db.status.control_plane import Vitals, vitals
from telemetry.metrics.connection_pool import ConnectionPool
from telemetry.metrics.fleet import Fleet
from telemetry.metrics.http_requests import Requests


def fleet_reader(sessions: SessionFactory) -> Callable[[], Vitals]:
    def read() -> Vitals:
        with sessions() as session:
            return vitals(session, datetime.now(UTC))

    return read


def measure_process(registry: CollectorRegistry, engine: Engine, sessions: SessionFactory) -> None:
    """What every process of the control plane has: itself, its pool of connections, and the state of the fleet."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
    registry.register(ConnectionPool(engine))
    Fleet(fleet_reader(sessions)).register(registry)


class ApiMetrics:
    """`readers`: how many event streams are open now."""

    def __init__(self, engine: Engine, sessions: SessionFactory, readers: Callable[[], int]) -> None:
        self.registry = CollectorRegistry()
        measure_process(self.registry, engine, sessions)
        self.requests = Requests(self.registry)
        gauge = Gauge("spot_optimizer_event_readers", "Open event streams", registry=self.registry)
        gauge.set_function(readers)
