"""What an accrual reads: what ran for every server in a time, and what it cost. A fleet in a few statements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from db.market.canonical import region_between
from db.market.on_demand import on_demand_history
from db.tables import Instance, Resource, SavingsDay, Server
from domain.instance_states import ENDED, InstanceState
from domain.savings.price_periods import RegionPrices, on_demand_series, spot_series
from domain.savings.server_usage import InstanceUsage, KeptSnapshot, ServerUsage

_LIVE = tuple(state.value for state in InstanceState if state not in ENDED)
_OVER = tuple(state.value for state in ENDED)
_AT_ONCE = 1000
_Key = tuple[str, str]  # a server's ID and its client's
_RAN = (
    Instance.id,
    Instance.server_id,
    Instance.client_id,
    Instance.state,
    Instance.role,
    Instance.roles,
    Instance.zone,
    Instance.instance_type,
    Instance.lifecycle,
    Instance.created_at,
    Instance.updated_at,
    Instance.launch_confirmed_at,
    Instance.terminate_requested_at,
    Instance.terminate_confirmed_at,
)


def fleet_between(session: Session, from_at: datetime, until_at: datetime) -> list[ServerUsage]:
    """Every server that had an instance or kept a snapshot at some moment of the time, or is booked for it.

    A server that is booked though nothing ran (its end became known late) comes without instances.
    """
    ran, kept = _instances(session, from_at, until_at), _snapshots(session, from_at, until_at)
    whose = {*ran, *kept, *_booked(session, from_at, until_at)}
    ids = sorted(server_id for server_id, _ in whose)
    homes, regions = _home_types(session, ids), _regions(session, ids)
    return [
        ServerUsage(
            server_id,
            client_id,
            regions.get(server_id, ""),
            homes.get(server_id, ""),
            tuple(ran[server_id, client_id]),
            kept[server_id, client_id],
        )
        for server_id, client_id in sorted(whose)
    ]


def _instances(session: Session, from_at: datetime, until_at: datetime) -> defaultdict[_Key, list[InstanceUsage]]:
    """Each instance once: one that ends between the two statements is in both, and counts as ended."""
    rows: dict[tuple[str, str], Any] = {}
    for query in _overlapping(from_at, until_at):
        rows |= {(row.server_id, row.id): row for row in session.execute(query)}
    found: defaultdict[_Key, list[InstanceUsage]] = defaultdict(list)
    for row in rows.values():
        if (one := _ran(row)) is not None and (one.until_at is None or one.until_at > from_at):
            found[row.server_id, row.client_id].append(one)
    return found


def _booked(session: Session, from_at: datetime, until_at: datetime) -> list[_Key]:
    """Servers that have entries on the time's days: their hours are looked at by whoever books."""
    first = from_at.replace(hour=0, minute=0, second=0, microsecond=0)
    query = select(SavingsDay.server_id, SavingsDay.client_id).where(SavingsDay.day >= first, SavingsDay.day < until_at)
    return [(server_id, client_id) for server_id, client_id in session.execute(query.distinct())]


def _overlapping(from_at: datetime, until_at: datetime) -> Iterator[Select[Any]]:
    """Live instances, and those that ended since: a row does not change once its instance has ended."""
    query = select(*_RAN).where(Instance.created_at < until_at)
    yield query.where(Instance.state.in_(_LIVE))
    yield query.where(Instance.state.in_(_OVER), Instance.updated_at >= from_at)


def _ran(row: Any) -> InstanceUsage | None:
    """EC2 bills from `running` until an end is asked for, or comes. None: it never got there."""
    if not row.zone:
        return None
    state = InstanceState(row.state)
    confirmed = row.launch_confirmed_at
    if confirmed is None and state is InstanceState.LAUNCHING:
        return None  # pending is free; if it runs already, the next accrual will see it
    start = row.created_at if confirmed is None else max(row.created_at, confirmed)
    end = row.terminate_requested_at or row.terminate_confirmed_at
    if end is None and state in ENDED:
        end = row.updated_at
    if end is not None and end <= start:
        return None
    return InstanceUsage(row.zone, row.instance_type, row.lifecycle == "spot", start, end, _roles(row))


def _roles(row: Any) -> tuple[tuple[datetime, str | None], ...]:
    """Its roles over time as recorded; a row without such records has its present role."""
    if row.roles is None:
        return ((row.created_at, row.role),) if row.role else ()
    return tuple((_instant(at), role) for at, role in row.roles)


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is UTC else at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _home_types(session: Session, server_ids: list[str]) -> dict[str, str]:
    """The type of each server's first instance: what the owner would run on-demand."""
    order = func.row_number().over(partition_by=Instance.server_id, order_by=(Instance.created_at, Instance.id))
    found: dict[str, str] = {}
    for piece in _pieces(server_ids):
        numbered = select(Instance.server_id, Instance.instance_type, order.label("number"))
        first = numbered.where(Instance.server_id.in_(piece)).subquery()
        query = select(first.c.server_id, first.c.instance_type).where(first.c.number == 1)
        found |= dict(session.execute(query).all())
    return found


def _regions(session: Session, server_ids: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for piece in _pieces(server_ids):
        found |= dict(session.execute(select(Server.id, Server.region).where(Server.id.in_(piece))).all())
    return found


def _snapshots(session: Session, from_at: datetime, until_at: datetime) -> defaultdict[_Key, tuple[KeptSnapshot, ...]]:
    """Snapshots kept now or deleted since, if the ledger of resources has the volume's size."""
    went = or_(Resource.gone_at.is_(None), Resource.gone_at > from_at)
    query = select(Resource.server_id, Resource.client_id, Resource.details, Resource.live_at, Resource.gone_at).where(
        Resource.type == "snapshot", Resource.live_at < until_at, went
    )
    found: defaultdict[_Key, tuple[KeptSnapshot, ...]] = defaultdict(tuple)
    for server_id, client_id, details, live_at, gone_at in session.execute(query):
        gib = (details or {}).get("gib")
        if isinstance(gib, int) and live_at is not None:
            found[server_id, client_id] = (*found[server_id, client_id], KeptSnapshot(gib, live_at, gone_at))
    return found


def _pieces(ids: Collection[str]) -> Iterator[list[str]]:
    ordered = list(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def prices_between(
    session: Session, regions: Collection[str], from_at: datetime, until_at: datetime
) -> dict[str, RegionPrices]:
    """By region. Pools without recorded prices are left out."""
    return {region: _prices(session, region, from_at, until_at) for region in sorted(regions)}


def _prices(session: Session, region: str, from_at: datetime, until_at: datetime) -> RegionPrices:
    spot = region_between(session, region, from_at, until_at)
    return RegionPrices(
        spot={pool: spot_series(steps) for pool, steps in spot.items()},
        on_demand={name: on_demand_series(valid) for name, valid in on_demand_history(session, region).items()},
    )
