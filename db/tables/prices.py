"""Pools and their prices in three tiers, what spot prices are compared with, and what happened in each pool.

The observations name their pool; the other two tiers name it by the number of its series. The tiers have no index
but their key: whoever reads knows the pools, and every further index would double the writing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, Index, Integer, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime

_USD = Numeric(12, 6)  # per hour


class PriceObservation(Base):
    """A spot price as it was said: once, whoever says it again. Partitioned by `at`; see db.market.partitions.

    The price is a part of the key: one source may say two prices of one instant, and both were said.
    """

    __tablename__ = "price_observations"
    __table_args__ = (TABLE,)

    zone: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    instance_type: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    source: Mapped[str] = mapped_column(Ascii(32), primary_key=True)  # domain.market.observed_prices.Source
    usd_per_hour: Mapped[Decimal] = mapped_column(_USD, primary_key=True)
    region: Mapped[str] = mapped_column(Ascii(32))
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime, default=lambda: datetime.now(UTC))


class PriceSetAside(Base):
    """A price that cannot be one, in the words in which it came, with its reason."""

    __tablename__ = "prices_set_aside"
    __table_args__ = (Index(None, "seen_at", "reason"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(40), primary_key=True)  # a digest: the same words are one
    region: Mapped[str] = mapped_column(String(64))
    zone: Mapped[str] = mapped_column(String(64))
    instance_type: Mapped[str] = mapped_column(String(64))
    at: Mapped[str] = mapped_column(String(64))
    price: Mapped[str] = mapped_column(String(64))
    currency: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Ascii(32))
    reason: Mapped[str] = mapped_column(Ascii(32))  # domain.market.observed_prices.Reason
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PriceSeries(Base):
    """A spot pool's prices: its number, its newest run, and how often its canonical series has changed.

    Whoever writes to the tiers of a pool holds this row. Before `sealed_until` its consolidated runs have
    been thinned out, and nothing can be mended any more.
    """

    __tablename__ = "price_series"
    __table_args__ = (
        Index("uq_price_series_pool", "zone", "instance_type", unique=True),
        Index(None, "region", "zone", "instance_type"),
        TABLE,
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    region: Mapped[str] = mapped_column(Ascii(32))
    zone: Mapped[str] = mapped_column(Ascii(32))
    instance_type: Mapped[str] = mapped_column(Ascii(32))
    version: Mapped[int] = mapped_column(Integer)
    sealed_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tail_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tail_usd: Mapped[Decimal | None] = mapped_column(_USD)
    tail_source: Mapped[str] = mapped_column(Ascii(32))
    tail_last_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    tail_last_source: Mapped[str] = mapped_column(Ascii(32))


class PriceConsolidated(Base):
    """One word per pool and minute, repeats collapsed: a price from `at`, last said again at `last_at`."""

    __tablename__ = "prices_consolidated"
    __table_args__ = (TABLE,)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    minute: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    usd_per_hour: Mapped[Decimal] = mapped_column(_USD)
    source: Mapped[str] = mapped_column(Ascii(32))
    last_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_source: Mapped[str] = mapped_column(Ascii(32))


class PriceCanonical(Base):
    """A step of a pool's gapless series. `confidence` is that at its start: domain.market.price_series."""

    __tablename__ = "prices_canonical"
    __table_args__ = (TABLE,)

    series_id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    from_at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    until_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: until further notice
    usd_per_hour: Mapped[Decimal] = mapped_column(_USD)
    kind: Mapped[str] = mapped_column(Ascii(16))  # domain.market.price_series.Kind
    confidence: Mapped[float] = mapped_column(Numeric(5, 4, asdecimal=False))
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    source: Mapped[str] = mapped_column(Ascii(32))


class PriceCorrection(Base):
    """A pool's canonical price of this part of the past is another one now. Open until somebody settles it."""

    __tablename__ = "price_corrections"
    __table_args__ = (Index(None, "settled_at", "id"), TABLE)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    region: Mapped[str] = mapped_column(Ascii(32))
    zone: Mapped[str] = mapped_column(Ascii(32))
    instance_type: Mapped[str] = mapped_column(Ascii(32))
    from_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: until further notice
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    settled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PriceCollection(Base):
    """How far a collection has come: everything said before `until_at` is in."""

    __tablename__ = "price_collections"
    __table_args__ = (TABLE,)

    name: Mapped[str] = mapped_column(Ascii(128), primary_key=True)  # for example spot/us-east-1/Linux/UNIX
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)


class OnDemandPriceRow(Base):
    """What a type costs on demand from `valid_from` on, as a source tells it."""

    __tablename__ = "on_demand_prices"
    __table_args__ = (Index(None, "region", "seen_at"), TABLE)

    region: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    instance_type: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    platform: Mapped[str] = mapped_column(Ascii(64), primary_key=True)  # EC2's PlatformDetails
    valid_from: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    source: Mapped[str] = mapped_column(Ascii(32), primary_key=True)  # api, list, or a file's own
    usd_per_hour: Mapped[Decimal] = mapped_column(_USD)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)


class PlacementScore(Base):
    """EC2's word, 1 to 10, on how likely one more instance of any of these types is to be had in a zone."""

    __tablename__ = "placement_scores"
    __table_args__ = (Index(None, "region", "at"), TABLE)

    region: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    zone: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    types_key: Mapped[str] = mapped_column(Ascii(191), primary_key=True)  # db.market.scores_and_bands.types_key
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    score: Mapped[int] = mapped_column(Integer)


class AdvisorBand(Base):
    """The Spot Advisor's band of a type in a region, 0 to 4: domain.market.spot_advisor."""

    __tablename__ = "advisor_bands"
    __table_args__ = (TABLE,)

    region: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    instance_type: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    as_of: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    band: Mapped[int] = mapped_column(Integer)


class PoolFactRow(Base):
    """One thing we lived through in a pool: domain.market.pool_reliability."""

    __tablename__ = "pool_facts"
    __table_args__ = (Index(None, "region", "at"), TABLE)

    fact_id: Mapped[str] = mapped_column(Ascii(191), primary_key=True)
    region: Mapped[str] = mapped_column(Ascii(32))
    pool: Mapped[str] = mapped_column(Ascii(128))
    kind: Mapped[str] = mapped_column(Ascii(32))
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    seconds: Mapped[float | None] = mapped_column(Numeric(16, 6, asdecimal=False))


class PoolRow(Base):
    """Where capacity is bought; `id` is `str(domain.pools.Pool)`."""

    __tablename__ = "pools"
    __table_args__ = (Index(None, "region", "id"), Index(None, "region", "cool_down_until"), TABLE)

    id: Mapped[str] = mapped_column(Ascii(128), primary_key=True)
    region: Mapped[str] = mapped_column(Ascii(32))
    zone: Mapped[str] = mapped_column(Ascii(32))
    instance_type: Mapped[str] = mapped_column(Ascii(32))
    lifecycle: Mapped[str] = mapped_column(Ascii(16))
    usd_per_hour: Mapped[float | None] = mapped_column(Numeric(12, 6, asdecimal=False))
    priced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cool_down_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cool_down_reason: Mapped[str] = mapped_column(String(500), default="")
    capacity_failures: Mapped[int] = mapped_column(Integer, default=0)
    notices: Mapped[int] = mapped_column(Integer, default=0)
