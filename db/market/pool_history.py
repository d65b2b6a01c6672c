"""Where instances of ours have run on spot, of all clients: the market is one."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.tables import Instance
from domain.instance_states import ENDED, InstanceState
from domain.market.pool_reliability import InstanceStay

_RUNS = (InstanceState.RUNNING_PRIMARY.value, InstanceState.RUNNING_REPLICA.value, InstanceState.PROMOTING.value)


def stays_since(session: Session, region: str, since: datetime, now: datetime) -> dict[str, list[InstanceStay]]:
    """By pool, the times in which an instance ran there, as far as they reach after `since`.

    Of those that run now the oldest counts for all: ten thousand rows are read as one for each pool.
    """
    start = func.coalesce(Instance.launch_confirmed_at, Instance.created_at)
    end = func.coalesce(Instance.terminate_confirmed_at, Instance.terminate_requested_at, Instance.updated_at)
    ours = Instance.region == region, Instance.pool.endswith("/spot")
    runs = select(Instance.pool, func.min(start)).where(*ours, Instance.state.in_(_RUNS)).group_by(Instance.pool)
    ran = select(Instance.pool, start, end).where(
        *ours, Instance.state.in_([state.value for state in ENDED]), Instance.updated_at >= since
    )
    found: defaultdict[str, list[InstanceStay]] = defaultdict(list)
    for pool, from_at in session.execute(runs):
        if from_at < now:
            found[pool].append(_stay(max(from_at, since), now))
    for pool, from_at, until_at in session.execute(ran):
        if from_at < min(until_at, now) and until_at > since:
            found[pool].append(_stay(max(from_at, since), min(until_at, now)))
    return found


def _stay(from_at: datetime, until_at: datetime) -> InstanceStay:
    return InstanceStay(from_at.timestamp() / 3600, until_at.timestamp() / 3600)
