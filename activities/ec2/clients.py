"""boto3 clients, made once and shared by every thread, and a cache of answers that change slowly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import boto3
from botocore.config import Config

from activities.ec2.activity import note_call
from activities.ec2.errors import Ec2Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_pricing import PricingClient
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

T = TypeVar("T")

PRICING_REGION = "us-east-1"  # where AWS serves the Pricing API, whatever the region asked about
_ATTEMPTS = 3
_READ_S = 8
_LONG_POLL_READ_S = 25  # SQS holds a receive for up to 20 s


def _note_answer(on_call: Callable[[str, str], None]) -> Callable[..., None]:
    """For botocore's event `after-call`. `parsed` has an `Error` when AWS refused the last try."""

    def note(model: Any, parsed: dict[str, Any], **_: object) -> None:
        on_call(model.name, str(parsed.get("Error", {}).get("Code") or "ok"))

    return note


def _note_failure(on_call: Callable[[str, str], None]) -> Callable[..., None]:
    """For botocore's event `after-call-error`: there was no answer. The event's name ends with the action."""

    def note(event_name: str, exception: Exception, **_: object) -> None:
        on_call(event_name.rpartition(".")[2], type(exception).__name__)

    return note


def _config(service: str, attempts: int) -> Config:
    return Config(
        connect_timeout=3,
        read_timeout=_LONG_POLL_READ_S if service == "sqs" else _READ_S,
        retries={"mode": "adaptive", "total_max_attempts": attempts},
        max_pool_connections=50,
        user_agent_extra="spot-optimizer",
        tcp_keepalive=True,
    )


class Clients:
    """One client per service, region and number of tries. The endpoint is AWS_ENDPOINT_URL's, if set.

    boto3 clients are thread-safe; making one is not, and takes a while (`warm` does it early).
    """

    def __init__(self, session: boto3.Session | None = None, on_call: Callable[[str, str], None] | None = None) -> None:
        """`on_call` gets each call's action and code, `ok` when it worked."""
        self._session = session or boto3.Session()
        self._session.events.register("before-call", note_call)
        if on_call:
            self._session.events.register("after-call", _note_answer(on_call))
            self._session.events.register("after-call-error", _note_failure(on_call))
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str, int], Any] = {}

    def ec2(self, region: str) -> EC2Client:
        return cast("EC2Client", self._client("ec2", region))

    def ec2_once(self, region: str) -> EC2Client:
        """A client without botocore's own retries.

        CreateSnapshot has no token: a retry after a lost answer would make a second one. RunInstances says "no
        capacity" with HTTP 500, which botocore would try again.
        """
        return cast("EC2Client", self._client("ec2", region, attempts=1))

    def elbv2(self, region: str) -> ElasticLoadBalancingv2Client:
        return cast("ElasticLoadBalancingv2Client", self._client("elbv2", region))

    def pricing(self) -> PricingClient:
        return cast("PricingClient", self._client("pricing", PRICING_REGION))

    def quotas(self, region: str) -> ServiceQuotasClient:
        return cast("ServiceQuotasClient", self._client("service-quotas", region))

    def sqs(self, region: str) -> SQSClient:
        return cast("SQSClient", self._client("sqs", region))

    def sts(self, region: str) -> STSClient:
        return cast("STSClient", self._client("sts", region))

    def warm(self, regions: Iterable[str]) -> None:
        """Make the clients that a switch needs, so that the first one does not wait for it."""
        self.pricing()
        for region in regions:
            for make in (self.ec2, self.ec2_once, self.elbv2, self.sts, self.quotas):
                make(region)

    def _client(self, service: str, region: str, attempts: int = _ATTEMPTS) -> Any:
        key = (service, region, attempts)
        with self._lock:
            if key not in self._made:
                make = cast(Any, self._session.client)
                self._made[key] = make(service, region_name=region, config=_config(service, attempts))
            return self._made[key]


class Cache(Generic[T]):
    """Keeps each fact for `ttl_s`. Thread-safe; two threads may ask for the same fact at once."""

    def __init__(self, ttl_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._ttl_s = ttl_s
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Hashable, tuple[float, T]] = {}

    def get(self, key: Hashable, ask: Callable[[], T], *, stale_ok: bool = False) -> T:
        """`stale_ok`: return an old fact when a new one cannot be had."""
        with self._lock:
            kept = self._kept.get(key)
        if kept and self._clock() - kept[0] < self._ttl_s:
            return kept[1]
        try:
            fact = ask()
        except Ec2Failure:
            if kept and stale_ok:
                return kept[1]
            raise
        with self._lock:
            self._kept[key] = (self._clock(), fact)
        return fact
