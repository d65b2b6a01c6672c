"""What a worker did: durations of what it recorded, and its calls to AWS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram

from domain.records import MeasureKind, Measurement
from telemetry.metrics.bounded_label import BoundedLabel

# To five minutes: what takes longer is stuck, and has an alert of its own.
SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 240.0, 300.0)
SECONDS_LEFT = (0.0, 5.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 105.0, 120.0)
MOST_POOLS = 200
MOST_CODES = 100

_HISTOGRAMS: Mapping[MeasureKind, tuple[str, str, tuple[str, ...], tuple[float, ...]]] = {
    MeasureKind.LAUNCH: (
        "spot_optimizer_launch_duration_seconds",
        "From RunInstances to an instance that EC2 says runs",
        ("lifecycle",),
        SECONDS,
    ),
    MeasureKind.TERMINATION: (
        "spot_optimizer_termination_duration_seconds",
        "From TerminateInstances to an instance that EC2 says is terminated",
        ("lifecycle",),
        SECONDS,
    ),
    MeasureKind.OPERATION: (
        "spot_optimizer_operation_duration_seconds",
        "From the request to the end, tidying up included",
        ("kind", "outcome"),
        SECONDS,
    ),
    MeasureKind.SWITCH: (
        "spot_optimizer_switch_duration_seconds",
        "From the request of a switch or a promotion to its commit",
        ("handoff",),
        SECONDS,
    ),
    MeasureKind.FAILOVER: (
        "spot_optimizer_failover_duration_seconds",
        "From the request of a failover to its commit",
        ("handoff",),
        SECONDS,
    ),
    MeasureKind.OUTAGE: (
        "spot_optimizer_outage_duration_seconds",
        "From the fence to the healthy service, by the control plane's clock",
        ("kind", "handoff"),
        SECONDS,
    ),
    MeasureKind.STEP: (
        "spot_optimizer_transition_duration_seconds",
        "One step of an operation",
        ("kind", "step"),
        SECONDS,
    ),
    MeasureKind.TIME_LEFT: (
        "spot_optimizer_notice_time_left_seconds",
        "What was left of an interruption notice when the server ran elsewhere",
        (),
        SECONDS_LEFT,
    ),
}
_COUNTERS: Mapping[MeasureKind, tuple[str, str, tuple[str, ...]]] = {
    MeasureKind.NOTICE: ("spot_optimizer_notices_total", "Notices heard, once for each way", ("kind", "source")),
    MeasureKind.CAPACITY: (
        "spot_optimizer_capacity_failures_total",
        "Launches that a pool did not give",
        ("pool", "reason"),
    ),
    MeasureKind.REJECTED: ("spot_optimizer_records_rejected_total", "Records that the tables did not take", ()),
}


class WorkerMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._histograms = {
            measure: Histogram(name, words, labels, buckets=buckets, registry=registry)
            for measure, (name, words, labels, buckets) in _HISTOGRAMS.items()
        }
        self._counters = {
            measure: Counter(name, words, labels, registry=registry)
            for measure, (name, words, labels) in _COUNTERS.items()
        }
        self._calls = Counter(
            "spot_optimizer_ec2_calls_total", "Calls to AWS, by what came back", ("action", "code"), registry=registry
        )
        self._pools, self._codes = BoundedLabel(MOST_POOLS), BoundedLabel(MOST_CODES)

    def heard(self, measured: Iterable[Measurement]) -> None:
        """What a batch of records said, after it was committed."""
        for one in measured:
            labels = {**one.labels, **({"pool": self._pools(one.labels["pool"])} if "pool" in one.labels else {})}
            if (counter := self._counters.get(one.measure)) is not None:
                (counter.labels(**labels) if labels else counter).inc()
            else:
                histogram = self._histograms[one.measure]
                (histogram.labels(**labels) if labels else histogram).observe(one.seconds)

    @property
    def called(self) -> Callable[[str, str], None]:
        """For `activities.ec2.clients.Clients`: an action of AWS's API, and its code; `ok` when it worked."""
        return lambda action, code: self._calls.labels(action=action, code=self._codes(code)).inc()
