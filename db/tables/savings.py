"""The ledger of savings: entries that are only ever added, and what they come to by hour and by day."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class SavingsEntry(Base):
    """What was added for a server's hour: domain.savings.ledger. Amounts in whole micro-dollars, times in seconds."""

    __tablename__ = "savings"
    __table_args__ = (TABLE,)

    server_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)  # its start
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    primary_micro: Mapped[int] = mapped_column(BigInteger)
    replica_micro: Mapped[int] = mapped_column(BigInteger)
    overlap_micro: Mapped[int] = mapped_column(BigInteger)
    snapshot_micro: Mapped[int] = mapped_column(BigInteger)
    on_demand_micro: Mapped[int] = mapped_column(BigInteger)
    unpriced_s: Mapped[int] = mapped_column(BigInteger)
    filled_s: Mapped[int] = mapped_column(BigInteger)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str] = mapped_column(Ascii(16))  # domain.savings.ledger.Reason
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class SavingsHour(Base):
    """The sum of an hour's entries of all servers of a client, kept as SavingsDay is."""

    __tablename__ = "savings_hours"
    __table_args__ = (Index(None, "hour", "client_id"), TABLE)

    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    hour: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)
    primary_micro: Mapped[int] = mapped_column(BigInteger)
    replica_micro: Mapped[int] = mapped_column(BigInteger)
    overlap_micro: Mapped[int] = mapped_column(BigInteger)
    snapshot_micro: Mapped[int] = mapped_column(BigInteger)
    on_demand_micro: Mapped[int] = mapped_column(BigInteger)
    unpriced_s: Mapped[int] = mapped_column(BigInteger)
    filled_s: Mapped[int] = mapped_column(BigInteger)


class SavingsDay(Base):
    """The sum of a day's entries of a server, kept with each entry in its transaction: long sums stay short."""

    __tablename__ = "savings_days"
    __table_args__ = (Index(None, "server_id", "day"), Index(None, "day", "client_id"), TABLE)

    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    day: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)  # midnight of UTC
    server_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    primary_micro: Mapped[int] = mapped_column(BigInteger)
    replica_micro: Mapped[int] = mapped_column(BigInteger)
    overlap_micro: Mapped[int] = mapped_column(BigInteger)
    snapshot_micro: Mapped[int] = mapped_column(BigInteger)
    on_demand_micro: Mapped[int] = mapped_column(BigInteger)
    unpriced_s: Mapped[int] = mapped_column(BigInteger)
    filled_s: Mapped[int] = mapped_column(BigInteger)


class SavingsProgress(Base):
    """Up to when every server's time has been booked."""

    __tablename__ = "savings_progress"
    __table_args__ = (TABLE,)

    name: Mapped[str] = mapped_column(Ascii(32), primary_key=True)
    until_at: Mapped[datetime] = mapped_column(UtcDateTime)


class WeeklySummary(Base):
    """A client's summary of a week was told, with its event: once."""

    __tablename__ = "weekly_summaries"
    __table_args__ = (TABLE,)

    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    week: Mapped[datetime] = mapped_column(UtcDateTime, primary_key=True)  # its Monday, midnight of UTC
    told_at: Mapped[datetime] = mapped_column(UtcDateTime)
