"""Every activity of the market, for the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from activities.ec2.clients import Clients
from activities.market.collection import MarketCollection
from activities.market.thinning import MarketThinning
from db.engine.session import SessionFactory


def market_activities(clients: Clients, sessions: SessionFactory, engine: Engine) -> list[Callable[..., Any]]:
    """Bound methods, each an activity named in `domain.market.contract`."""
    return [*MarketCollection(clients, sessions).activities, *MarketThinning(sessions, engine).activities]
