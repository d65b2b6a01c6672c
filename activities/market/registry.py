"""Every activity of the market, for the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine

from activities.ec2.clients import Clients
from activities.market.collection import Collecting
from activities.market.thinning import Thinning
from db.engine.session import SessionFactory


def market_activities(clients: Clients, sessions: SessionFactory, engine: Engine) -> list[Callable[..., Any]]:
    """Bound methods, each an activity named in `domain.market.contract`."""
    return [*Collecting(clients, sessions).activities, *Thinning(sessions, engine).activities]
