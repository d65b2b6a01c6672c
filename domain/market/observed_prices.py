"""What was said of a pool's spot price, and what of it can be true.

Everything that comes is either a point of its pool or is set aside with its reason; nothing is dropped.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import NamedTuple

CLOCK_ERROR = timedelta(minutes=1)  # a price may be this far ahead of our clock
TOO_HIGH_FACTOR = 10  # times on-demand: spot has been capped at on-demand since 2017, and at ten times it before
MOST_USD = Decimal(100_000)  # no instance costs a tenth of it; also what NUMERIC(12, 6) holds
FIRST_SPOT = datetime(2009, 12, 1, tzinfo=UTC)  # EC2 has sold spot instances since December 2009

_CENT_MILLIONTHS = Decimal("0.000001")
_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z0-9-]*[a-z]")
_TYPE = re.compile(r"[a-z0-9-]+\.[a-z0-9-]+")
_LONGEST_NAME = 32

PoolKey = tuple[str, str]  # zone, instance type


class PriceSource(StrEnum):
    EC2 = "ec2"  # DescribeSpotPriceHistory
    AGENT = "agent"
    FILE = "file"


class SetAsideReason(StrEnum):
    """Why a price was set aside."""

    NOT_A_NUMBER = "not_a_number"
    ZERO = "zero"
    NEGATIVE = "negative"
    TOO_HIGH = "too_high"
    CURRENCY = "currency"
    IN_THE_FUTURE = "in_the_future"
    BAD_TIME = "bad_time"
    TOO_OLD = "too_old"  # what it would change has been thinned out
    BETTER_KNOWN = "better_known"  # an agent's word of a pool whose price EC2 itself has told
    UNKNOWN_TYPE = "unknown_type"
    UNKNOWN_ZONE = "unknown_zone"


class ReportedPrice(NamedTuple):
    """A price as it came. `at`: the moment from which it holds; text is ISO 8601 with its offset."""

    region: str
    zone: str
    instance_type: str
    at: datetime | str
    usd_per_hour: Decimal | float | str
    currency: str = "USD"


class PricePoint(NamedTuple):
    """A price that can be true, of a pool that the context names. `at` is UTC; `usd` per hour, six decimals."""

    at: datetime
    usd: Decimal
    source: PriceSource


@dataclass(frozen=True, slots=True)
class SetAsidePrice:
    said: ReportedPrice
    source: PriceSource
    reason: SetAsideReason

    @property
    def digest(self) -> str:
        """The same words from the same source for the same reason are one."""
        words = "\x1f".join([*(str(part) for part in self.said), self.source.value, self.reason.value])
        return hashlib.sha256(words.encode("utf-8", "backslashreplace")).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class PriceBounds:
    """What prices are held against. None, or a missing entry: not known, so not checked."""

    now: datetime | None = None
    zones: frozenset[str] | None = None
    types: frozenset[str] | None = None
    on_demand: Mapping[tuple[str, str], Decimal] = field(default_factory=dict)  # (region, type) -> USD per hour


@dataclass(slots=True)
class SiftedPrices:
    points: dict[PoolKey, list[PricePoint]] = field(default_factory=dict)
    regions: dict[PoolKey, str] = field(default_factory=dict)
    set_aside: list[SetAsidePrice] = field(default_factory=list)


class _Impossible(Exception):
    def __init__(self, reason: SetAsideReason) -> None:
        self.reason = reason


def sift_prices(said: Iterable[ReportedPrice], source: PriceSource, known: PriceBounds) -> SiftedPrices:
    """Each pool's points, in the order they came, and what was set aside."""
    sifted = SiftedPrices()
    points, regions = sifted.points, sifted.regions
    sound: dict[tuple[str, str, str], Decimal] = {}  # pools whose names are good -> the most they may cost
    latest = None if known.now is None else known.now + CLOCK_ERROR
    for one in said:
        try:
            place = one[:3]
            most = sound.get(place)
            if most is None:
                most = sound[place] = _ceiling(one, known)
            at, usd = _instant(one.at, latest), _price(one, most)
        except _Impossible as impossible:
            sifted.set_aside.append(SetAsidePrice(one, source, impossible.reason))
            continue
        pool = place[1:]
        if pool not in points:
            points[pool], regions[pool] = [], one.region
        points[pool].append(PricePoint(at, usd, source))
    return sifted


def _ceiling(one: ReportedPrice, known: PriceBounds) -> Decimal:
    zone, kind = one.zone, one.instance_type
    strange = known.zones is not None and zone not in known.zones
    if strange or len(zone) > _LONGEST_NAME or not zone.startswith(one.region) or not _ZONE.fullmatch(zone):
        raise _Impossible(SetAsideReason.UNKNOWN_ZONE)
    strange = known.types is not None and kind not in known.types
    if strange or len(kind) > _LONGEST_NAME or not _TYPE.fullmatch(kind):
        raise _Impossible(SetAsideReason.UNKNOWN_TYPE)
    on_demand = known.on_demand.get((one.region, kind))
    return min(MOST_USD, TOO_HIGH_FACTOR * on_demand) if on_demand else MOST_USD


def _instant(said: datetime | str, latest: datetime | None) -> datetime:
    try:
        at = datetime.fromisoformat(said) if isinstance(said, str) else said
        if at.tzinfo is not UTC:
            if at.tzinfo is None:  # nobody knows its zone
                raise _Impossible(SetAsideReason.BAD_TIME)
            at = at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise _Impossible(SetAsideReason.BAD_TIME) from None
    if at < FIRST_SPOT:
        raise _Impossible(SetAsideReason.BAD_TIME)
    if latest is not None and at > latest:
        raise _Impossible(SetAsideReason.IN_THE_FUTURE)
    return at


def _price(one: ReportedPrice, most: Decimal) -> Decimal:
    if one.currency != "USD":
        raise _Impossible(SetAsideReason.CURRENCY)
    said = one.usd_per_hour
    try:
        # A float by its shortest text: 0.1 is 0.1, not 0.1000000000000000055.
        usd = Decimal(repr(said)) if isinstance(said, float) else Decimal(said)
        if not usd.is_finite():
            raise _Impossible(SetAsideReason.NOT_A_NUMBER)
        if usd > most:
            raise _Impossible(SetAsideReason.TOO_HIGH)
        usd = usd.quantize(_CENT_MILLIONTHS)
    except (InvalidOperation, TypeError):
        raise _Impossible(SetAsideReason.NOT_A_NUMBER) from None
    if usd <= 0:
        raise _Impossible(SetAsideReason.ZERO if usd == 0 else SetAsideReason.NEGATIVE)
    return usd
