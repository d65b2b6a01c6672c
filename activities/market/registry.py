"""The market's activities and Temporal schedules, for the worker.

No schedule overlaps itself, and they do not all start at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from activities.ec2.clients import Clients
from activities.market.collection import MarketCollection
from activities.market.thinning import MarketThinning
from activities.schedules import ScheduledWorkflow
from db.engine.session import SessionFactory
from domain.market import contract


def market_activities(clients: Clients, sessions: SessionFactory, engine: Engine) -> list[Callable[..., Any]]:
    """Bound methods; the activities are named in `domain.market.contract`."""
    return [*MarketCollection(clients, sessions).activities, *MarketThinning(sessions, engine).activities]


SPOT_EVERY = timedelta(minutes=5)
SPOT_JITTER = timedelta(minutes=1)
# On-demand prices change a few times a year. A type that is new in a region gets its price within hours.
ON_DEMAND_EVERY = timedelta(hours=6)
# EC2 limits new questions per day; one that was asked before does not count.
SCORES_EVERY = timedelta(hours=1)
THIN_OUT_EVERY = timedelta(days=1)
JITTER = timedelta(minutes=30)
KEEP = contract.ThinOutInput()


def market_schedules(
    regions: Iterable[str], spot_every: timedelta = SPOT_EVERY, keep: contract.ThinOutInput = KEEP
) -> list[ScheduledWorkflow]:
    """Three schedules for each region, and one to thin out the records of all."""
    found = [ScheduledWorkflow("market/thin-out", contract.THIN_OUT_WORKFLOW, keep, THIN_OUT_EVERY, JITTER)]
    spot, on_demand = contract.COLLECT_SPOT_WORKFLOW, contract.COLLECT_ON_DEMAND_WORKFLOW
    for region in sorted(set(regions)):
        jitter = min(SPOT_JITTER, spot_every / 5)
        found.append(
            ScheduledWorkflow(f"market/spot/{region}", spot, contract.CollectSpotInput(region), spot_every, jitter)
        )
        given = contract.CollectOnDemandInput(region)
        found.append(ScheduledWorkflow(f"market/on-demand/{region}", on_demand, given, ON_DEMAND_EVERY, JITTER))
        scores = contract.COLLECT_SCORES_WORKFLOW
        found.append(
            ScheduledWorkflow(
                f"market/scores/{region}", scores, contract.CollectScoresInput(region), SCORES_EVERY, JITTER
            )
        )
    return found
