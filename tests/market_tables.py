"""What only tests ask of the market's tables: a price at a moment, a cost, what was set aside; and prices put in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.market.canonical import series_between
from db.market.incoming_prices import store_spot_prices
from db.tables import PoolRow, PriceSetAside
from domain.market.instance_cost import HOUR, InstanceCost, instance_cost, instance_cost_by_hour
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice, SetAsideReason
from domain.market.price_series import PriceStepKind, confidence_at, step_at

_ANYTHING = PriceBounds()


@dataclass(frozen=True)
class Observation:
    """A spot price. `usd_per_hour` may be what cannot be a price: that is set aside with its reason."""

    region: str
    zone: str
    instance_type: str
    at: datetime
    usd_per_hour: float


def record_prices(
    session: Session, observations: Sequence[Observation], source: str, known: PriceBounds = _ANYTHING
) -> int:
    """Keep spot prices; one already known (same pool, time, source and price) changes nothing.

    Returns how many came. `known`: what they are held against; by itself only what no price can be.
    """
    said = [ReportedPrice(o.region, o.zone, o.instance_type, o.at, o.usd_per_hour) for o in observations]
    store_spot_prices(session, said, PriceSource(source), known, known.now or datetime.now(UTC))
    return len(said)


@dataclass(frozen=True, slots=True)
class Price:
    """A pool's price at a moment, in USD per hour, with the confidence of that moment, 0 to 1."""

    usd_per_hour: Decimal
    kind: PriceStepKind
    confidence: float
    since: datetime
    confirmed_at: datetime


def price_at(session: Session, zone: str, instance_type: str, at: datetime) -> Price | None:
    """The price then; None before the pool's first price, or for a pool that was never priced."""
    step = step_at(series_between(session, zone, instance_type, at, at + timedelta(microseconds=1)), at)
    return Price(step.usd, step.kind, confidence_at(step, at), step.from_at, step.confirmed_at) if step else None


def cost_between(
    session: Session, zone: str, instance_type: str, from_at: datetime, until_at: datetime
) -> InstanceCost:
    """What an instance in the pool cost over the time, exact, as far as its price is known."""
    return instance_cost(series_between(session, zone, instance_type, from_at, until_at), from_at, until_at)


def cost_by_hour(
    session: Session, zone: str, instance_type: str, from_at: datetime, until_at: datetime
) -> list[InstanceCost]:
    """The same for each whole hour of UTC that overlaps the time; its mean price is `mean_usd_per_hour`."""
    series = series_between(session, zone, instance_type, from_at - HOUR, until_at + HOUR)
    return instance_cost_by_hour(series, from_at, until_at)


def count_set_aside(session: Session, since: datetime) -> dict[SetAsideReason, int]:
    """How many different ones came since then, by reason."""
    query = select(PriceSetAside.reason, func.count()).where(PriceSetAside.seen_at >= since)
    return {SetAsideReason(reason): count for reason, count in session.execute(query.group_by(PriceSetAside.reason))}


def list_set_aside(session: Session, since: datetime, limit: int = 100) -> list[PriceSetAside]:
    """The newest first."""
    query = select(PriceSetAside).where(PriceSetAside.seen_at >= since).order_by(PriceSetAside.seen_at.desc())
    return list(session.scalars(query.limit(limit)))


def list_pools(session: Session, region: str, instance_type: str | None = None) -> list[PoolRow]:
    """Every pool of a region that has been seen, by zone and type."""
    query = select(PoolRow).where(PoolRow.region == region)
    if instance_type is not None:
        query = query.where(PoolRow.instance_type == instance_type)
    return list(session.scalars(query.order_by(PoolRow.id)))
