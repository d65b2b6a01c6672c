"""Pools as last seen, and prices as they came. Shared by all clients."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from db.models.base import TABLE, Base
from db.types import Ascii, UtcDateTime


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
    on_demand_usd_per_hour: Mapped[float | None] = mapped_column(Numeric(12, 6, asdecimal=False))
    priced_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cool_down_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cool_down_reason: Mapped[str] = mapped_column(String(500), default="")
    capacity_failures: Mapped[int] = mapped_column(Integer, default=0)
    notices: Mapped[int] = mapped_column(Integer, default=0)


class PriceObservation(Base):
    """A spot price as it was said: not cleaned, not filled."""

    __tablename__ = "price_observations"
    __table_args__ = (Index(None, "region", "at"), TABLE)

    zone: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    instance_type: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    source: Mapped[str] = mapped_column(Ascii(32), primary_key=True)  # ec2, agent, file
    region: Mapped[str] = mapped_column(Ascii(32))
    usd_per_hour: Mapped[float] = mapped_column(Numeric(12, 6, asdecimal=False))
