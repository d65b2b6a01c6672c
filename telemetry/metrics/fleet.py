"""The state of the control plane, read from the records when it is asked for."""

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
    """`read` raises when the database is away: then `spot_optimizer_records_up` is 0 and the rest is not there."""

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
        vitals = self._vitals()
        yield _one("spot_optimizer_records_up", "Whether the records can be read", float(vitals is not None))
        if vitals is not None:
            yield from _fleet_metrics(vitals)

    def _vitals(self) -> ControlPlaneStatus | None:
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] > CACHE_S:
                self._kept = (self._clock(), self._fresh())
            return self._kept[1]

    def _fresh(self) -> ControlPlaneStatus | None:
        try:
            return self._read()
        except Exception as error:
            # Whatever it was: who scrapes is told by records_up, and the other metrics are told all the same.
            log.warning("the records cannot be read for metrics: %s", error)
            return None


def _fleet_metrics(vitals: ControlPlaneStatus) -> Iterator[Metric]:
    seen = vitals.overview
    yield _one("spot_optimizer_servers", "Active servers", seen.servers)
    yield _by("spot_optimizer_instances", "Live instances", "state", seen.instances)
    yield _by("spot_optimizer_operations", "Unfinished operations", "status", seen.operations)
    yield _by("spot_optimizer_ledger_resources", "Live in the ledger", "type", seen.resources)
    yield _one("spot_optimizer_fleet_usd_per_hour", "What the live instances cost", seen.usd_per_hour)
    yield _one("spot_optimizer_operations_needing_attention", "Operations that say so", seen.attention)
    yield _by(
        "spot_optimizer_stuck_operations", "Running for over ten minutes", "kind", vitals.stuck, always=("switch",)
    )
    yield _by(
        "spot_optimizer_uncommitted_operation_seconds",
        "Age of the oldest operation that has not committed",
        "kind",
        vitals.uncommitted_s,
    )
    yield _one("spot_optimizer_servers_with_several_primaries", "Invariant 1: must be 0", vitals.several_primaries)
    yield _one("spot_optimizer_servers_without_primary", "Active, and nothing serves them", vitals.without_primary)
    yield _one("spot_optimizer_agents_online", "Agents heard of when they were due", vitals.agents_online)
    yield _one("spot_optimizer_agents_silent", "Primaries whose agent was not", vitals.agents_silent)
    drift = GaugeMetricFamily(
        "spot_optimizer_drift_findings", "Open differences between EC2 and the records", labels=("kind", "action")
    )
    for (kind, action), count in sorted(vitals.drift.items()):
        drift.add_metric((kind, action), count)
    yield drift
    yield _by("spot_optimizer_price_age_seconds", "Since prices were last collected", "collection", vitals.price_age_s)
    yield from _money(vitals)


def _money(vitals: ControlPlaneStatus) -> Iterator[Metric]:
    day = vitals.day
    costs = {name: getattr(day, name) / _MICRO for name in ("primary", "replica", "overlap", "snapshot", "on_demand")}
    yield _by("spot_optimizer_day_cost_usd", "Booked for the last 24 whole hours, by part", "part", costs)
    yield _one(
        "spot_optimizer_day_savings_usd", "On-demand less the other parts, of the same hours", day.saved / _MICRO
    )
    if vitals.accrual_age_s is not None:
        yield _one("spot_optimizer_savings_age_seconds", "Since what the ledger of savings has", vitals.accrual_age_s)


def _one(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value=value)


def _by(name: str, words: str, label: str, values: Mapping[str, float], always: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for key in sorted({*values, *always}):
        family.add_metric((str(key),), values.get(key, 0))
    return family
