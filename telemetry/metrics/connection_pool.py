"""How much of the pool of database connections is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool


class ConnectionPoolCollector(Collector):
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        pool = self._engine.pool
        if not isinstance(pool, QueuePool):
            return
        used = GaugeMetricFamily(
            "spot_optimizer_database_pool_connections",
            "Connections to the database, by what they do",
            labels=("state",),
        )
        used.add_metric(("in_use",), pool.checkedout())
        used.add_metric(("idle",), pool.checkedin())
        yield used
        most = pool.size() + pool._max_overflow
        yield GaugeMetricFamily("spot_optimizer_database_pool_limit", "Most connections at once", value=most)
