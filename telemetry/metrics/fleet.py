"""The state of the control plane, read from the records when Prometheus asks."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from db.status.control_plane import ControlPlaneStatus

log = logging.getLogger(__name__)

_MICRO = 1_000_000  # the ledger counts in micro-dollars
CACHE_S = 5.0  # several scrapers at once read the records once


class FleetCollector(Collector):
    """`read` raises when the database does not answer: then `spot_optimizer_records_up` is 0 and the rest is absent."""

    def __init__(self, read: Callable[[], ControlPlaneStatus], clock: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, ControlPlaneStatus | None] | None = None

    def register(self, registry: CollectorRegistry) -> None:
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        return []  # so that registering reads nothing

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield _one("spot_optimizer_records_up", "Whether the records can be read", float(status is not None))
        if status is not None:
            yield from _fleet_metrics(status)

    def _status(self) -> ControlPlaneStatus | None:
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] > CACHE_S:
                self._kept = (self._clock(), self._fresh())
            return self._kept[1]

    def _fresh(self) -> ControlPlaneStatus | None:
        try:
            return self._read()
        except Exception as error:
            # Whatever it was: records_up says so, and the other metrics of the process are still there.
            log.warning("the records cannot be read for metrics: %s", error)
            return None


def _fleet_metrics(status: ControlPlaneStatus) -> Iterator[Metric]:
    seen = status.overview
    yield _one("spot_optimizer_servers", "Active servers", seen.servers)
    yield _by("spot_optimizer_instances", "Live instances", "state", seen.instances)
    yield _by("spot_optimizer_operations", "Unfinished operations", "status", seen.operations)
    yield _by("spot_optimizer_ledger_resources", "Live in the ledger", "type", seen.resources)
    yield _one("spot_optimizer_fleet_usd_per_hour", "What the live instances cost", seen.usd_per_hour)
    yield _one("spot_optimizer_operations_needing_attention", "Operations that say so", seen.attention)
    yield _by(
        "spot_optimizer_stuck_operations", "Running for over ten minutes", "kind", status.stuck, always=("switch",)
    )
    yield _by(
        "spot_optimizer_uncommitted_operation_seconds",
        "Age of the oldest operation that has not committed",
        "kind",
        status.uncommitted_s,
    )
    yield _one("spot_optimizer_servers_with_several_primaries", "Invariant 1: must be 0", status.several_primaries)
    yield _one("spot_optimizer_servers_without_primary", "Active, and nothing serves them", status.without_primary)
    yield _one("spot_optimizer_agents_online", "Agents heard of when they were due", status.agents_online)
    yield _one("spot_optimizer_agents_silent", "Primaries whose agent was not", status.agents_silent)
    drift = GaugeMetricFamily(
        "spot_optimizer_drift_findings", "Open differences between EC2 and the records", labels=("kind", "action")
    )
    for (kind, action), count in sorted(status.drift.items()):
        drift.add_metric((kind, action), count)
    yield drift
    yield _by("spot_optimizer_price_age_seconds", "Since prices were last collected", "collection", status.price_age_s)
    yield from _money(status)


def _money(status: ControlPlaneStatus) -> Iterator[Metric]:
    day = status.day
    costs = {name: getattr(day, name) / _MICRO for name in ("primary", "replica", "overlap", "snapshot", "on_demand")}
    yield _by("spot_optimizer_day_cost_usd", "Booked for the last 24 whole hours, by part", "part", costs)
    yield _one(
        "spot_optimizer_day_savings_usd", "On-demand less the other parts, of the same hours", day.saved / _MICRO
    )
    if status.accrual_age_s is not None:
        yield _one("spot_optimizer_savings_age_seconds", "Since what the ledger of savings has", status.accrual_age_s)


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _by(name: str, words: str, label: str, values: Mapping[str, float], always: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for key in sorted({*values, *always}):
        family.add_metric((str(key),), values.get(key, 0))
    return family
