"""Pools as last seen. Shared by all clients."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, Integer, Numeric, String
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


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
