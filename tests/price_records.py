"""A market of prices in the database, for tests: what was said, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction
from db.market import (
    canonical,
)
from db.market.tiers import BatchResult, store_in_tiers
from db.tables import (
    PriceCorrection,
    PriceSeries,
    PriceSetAside,
)
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.price_series import PriceStep
from tests.database_schemas import NOW, unique

REGION, ZONE = "us-east-1", "us-east-1a"
EC2 = PriceSource.EC2


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def a_type() -> str:
    """A pool that no other test knows."""
    return f"{unique('m')[:14]}.large"


def said(kind: str, hours: float, usd: str, zone: str = ZONE) -> ReportedPrice:
    return ReportedPrice(REGION, zone, kind, at(hours), usd)


def keep(
    sessions: SessionFactory,
    prices: Sequence[ReportedPrice],
    source: PriceSource = EC2,
    known: PriceBounds = PriceBounds(),  # noqa: B008 - frozen
) -> BatchResult:
    return in_transaction(sessions, lambda session: store_in_tiers(session, prices, source, known, NOW))


def series(sessions: SessionFactory, kind: str, zone: str = ZONE) -> list[PriceStep]:
    with sessions() as session:
        return canonical.series_between(session, zone, kind, at(-100_000), at(100_000))


def head(sessions: SessionFactory, kind: str) -> PriceSeries:
    with sessions() as session:
        return session.scalars(select(PriceSeries).where(PriceSeries.instance_type == kind)).one()


def prices(found: Sequence[PriceStep]) -> list[tuple[float, str]]:
    """(hours after NOW from which it holds, USD per hour), each change once."""
    hours = [((step.from_at - NOW) / timedelta(hours=1), f"{step.usd:f}".rstrip("0").rstrip(".")) for step in found]
    return [one for n, one in enumerate(hours) if n == 0 or hours[n - 1][1] != one[1]]


def the_open(sessions: SessionFactory, kind: str) -> list[PriceCorrection]:
    with sessions() as session:
        return [one for one in canonical.open_corrections(session, 100_000) if one.instance_type == kind]


def step_at(session: Session, kind: str, when: datetime, zone: str = ZONE) -> PriceStep | None:
    """The canonical step in force then."""
    found = canonical.series_between(session, zone, kind, when, when + timedelta(microseconds=1))
    return found[0] if found else None


def set_aside_since(session: Session, since: datetime) -> list[PriceSetAside]:
    return list(session.scalars(select(PriceSetAside).where(PriceSetAside.seen_at >= since).order_by(PriceSetAside.id)))
