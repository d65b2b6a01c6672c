"""Models that forecast, who decides by them, and how their decisions compare."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Boolean, Computed, Date, Index, Integer, String
from sqlalchemy.dialects.mysql import DOUBLE, MEDIUMBLOB
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import TABLE, Base
from db.tables.types import Ascii, UtcDateTime


class ModelRow(Base):
    """A registered ONNX file. `state`: domain.forecasting.forecaster.ModelState."""

    __tablename__ = "models"
    __table_args__ = (Index(None, "registered_at", "id"), Index("uq_models_sha256", "sha256", unique=True), TABLE)

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    sha256: Mapped[str] = mapped_column(Ascii(64))
    size: Mapped[int] = mapped_column(Integer)
    content: Mapped[bytes] = mapped_column(MEDIUMBLOB, deferred=True)  # not read by lists
    features: Mapped[list[str]]  # in the order of its input
    report: Mapped[dict[str, Any]]  # of its backtest, as its maker gives it
    state: Mapped[str] = mapped_column(Ascii(16))
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime)
    registered_by: Mapped[str] = mapped_column(Ascii(64))
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class ModelUse(Base):
    """A time in which a client's decisions were informed by a model. At most one is open for each client."""

    __tablename__ = "model_uses"
    __table_args__ = (
        Index(None, "client_id", "began_at", "id"),
        Index("uq_model_uses_open", "open_client_id", unique=True),
        TABLE,
    )

    id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64))
    model_id: Mapped[str] = mapped_column(Ascii(64))
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    began_by: Mapped[str] = mapped_column(Ascii(64))
    backtest_id: Mapped[str] = mapped_column(Ascii(64), default="")  # that showed it to be better
    forced: Mapped[bool] = mapped_column(Boolean, default=False)
    restored: Mapped[bool] = mapped_column(Boolean, default=False)  # by a roll back; the next one ends all models
    why: Mapped[str] = mapped_column(String(500), default="")
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_by: Mapped[str] = mapped_column(Ascii(64), default="")
    open_client_id: Mapped[str | None] = mapped_column(
        Ascii(64), Computed("CASE WHEN ended_at IS NULL THEN client_id END", persisted=True)
    )


class ModelShadow(Base):
    """A client's day under a model beside the policy that decided: how often they agreed, and what each would cost.

    Costs: USD per hour, price and risk as the built-in reckoning has them, of the places each would have servers in,
    summed over decisions.
    """

    __tablename__ = "model_shadows"
    __table_args__ = (TABLE,)

    model_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    client_id: Mapped[str] = mapped_column(Ascii(64), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    decisions: Mapped[int] = mapped_column(Integer)
    agreed: Mapped[int] = mapped_column(Integer)
    fell_back: Mapped[int] = mapped_column(Integer)
    cost_usd: Mapped[float] = mapped_column(DOUBLE(asdecimal=False))  # where the model would have them
    built_in_cost_usd: Mapped[float] = mapped_column(DOUBLE(asdecimal=False))
    failure: Mapped[str] = mapped_column(String(500), default="")  # the last one of the day
