"""The ledger of savings as its tests fill and read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, insert, select, text

from db.engine.session import SessionFactory, in_transaction
from db.market.on_demand import keep_on_demand
from db.market.tiers import store_in_tiers
from db.savings.accrual import AccrualResult, accrue
from db.savings.booking import SUMS
from db.savings.totals import Unit, period_totals, server_totals
from db.tables import Instance, SavingsEntry, Server
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from domain.savings.amounts import Amounts, total
from tests.database_schemas import unique

T0 = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)  # a Monday
REGION, ZONE, HOME, SPOT = "us-east-1", "us-east-1a", "m5.large", "m6a.large"
AGAIN = timedelta(hours=3)


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


@pytest.fixture(autouse=True)
def empty_ledger(sessions: SessionFactory) -> None:
    """The ledger is one for all clients: each test begins its own."""
    tables = (
        "savings",
        "savings_hours",
        "savings_days",
        "savings_progress",
        "weekly_summaries",
        "instances",
        "servers",
    )
    prices = ("price_corrections", "prices_canonical", "prices_consolidated", "price_observations", "price_series")
    with sessions.begin() as session:
        for name in (*tables, *prices, "on_demand_prices", "resources", "operations"):
            session.execute(text(f"DELETE FROM {name}"))


def price(sessions: SessionFactory, hours: float, usd: str, kind: str = SPOT) -> None:
    said = [ReportedPrice(REGION, ZONE, kind, at(hours), usd)]
    in_transaction(
        sessions, lambda session: store_in_tiers(session, said, PriceSource.EC2, PriceBounds(None), at(hours))
    )


def on_demand(sessions: SessionFactory, usd: str = "0.096", kind: str = HOME) -> None:
    one = OnDemandPrice(REGION, kind, LINUX, Decimal(usd), at(-10_000), "api")
    in_transaction(sessions, lambda session: keep_on_demand(session, [one], T0))


def a_server(sessions: SessionFactory, client_id: str, since: float = -1, *, spot_at: float | None = None) -> str:
    """On-demand from `since` on; switched to spot at `spot_at`, the old one ends six minutes later."""
    server_id = unique("srv")
    base = {"client_id": client_id, "region": REGION, "updated_at": at(since), "created_at": at(since)}
    with sessions.begin() as session:
        session.execute(
            insert(Server).values(
                id=server_id,
                name=server_id,
                handoff="stateless",
                policy={},
                state="active",
                version=1,
                moves=[],
                account_id="1",
                **base,
            )
        )
    if spot_at is None:
        instance(sessions, server_id, client_id, since, roles=[(since, "primary")])
    else:
        instance(
            sessions, server_id, client_id, since, until=spot_at + 0.1, roles=[(since, "primary"), (spot_at, None)]
        )
        instance(sessions, server_id, client_id, spot_at - 0.1, kind=SPOT, roles=[(spot_at, "primary")])
    return server_id


def instance(
    sessions: SessionFactory,
    server_id: str,
    client_id: str,
    since: float,
    *,
    until: float | None = None,
    kind: str = HOME,
    roles: list[tuple[float, str | None]],
) -> str:
    instance_id, spot = unique("i"), kind == SPOT
    pool = f"{ZONE}/{kind}/{'spot' if spot else 'on-demand'}"
    with sessions.begin() as session:
        session.add(
            Instance(
                id=instance_id,
                server_id=server_id,
                client_id=client_id,
                state="running_primary" if until is None else "terminated",
                role=roles[-1][1] if until is None else None,
                roles=[[at(when).isoformat(), role] for when, role in roles],
                pool=pool,
                region=REGION,
                zone=ZONE,
                instance_type=kind,
                lifecycle=pool.rsplit("/", 1)[1],
                created_at=at(since),
                updated_at=at(since if until is None else until),
                launch_confirmed_at=at(since),
                terminate_requested_at=None if until is None else at(until),
            )
        )
    return instance_id


def run(sessions: SessionFactory, hours: float, again: timedelta = AGAIN) -> AccrualResult:
    return accrue(sessions, at(hours), again)


def booked(sessions: SessionFactory, server_id: str) -> dict[float, Amounts]:
    """By hour after T0."""
    with sessions() as session:
        found = period_totals(session, None, Unit.HOUR, at(-1000), at(1000), server_id)
    return {(one.start - T0) / timedelta(hours=1): one.amounts for one in found}


def entries(sessions: SessionFactory, server_id: str) -> list[SavingsEntry]:
    key = SavingsEntry.hour, SavingsEntry.number
    with sessions() as session:
        return list(session.scalars(select(SavingsEntry).where(SavingsEntry.server_id == server_id).order_by(*key)))


def end_instance(sessions: SessionFactory, instance_id: str, ended: float, known: float) -> None:
    with sessions.begin() as session:
        row = session.scalars(select(Instance).where(Instance.id == instance_id)).one()
        row.state, row.role, row.terminate_requested_at, row.updated_at = "terminated", None, at(ended), at(known)


def sums_agree(sessions: SessionFactory, client_id: str) -> None:
    ever = at(-2000), at(2000)
    with sessions() as session:
        raw = session.execute(
            select(*(func.coalesce(func.sum(getattr(SavingsEntry, name)), 0) for name in SUMS)).where(
                SavingsEntry.client_id == client_id
            )
        ).one()
        everything = Amounts(*(int(one) for one in raw))
        for unit in Unit:
            assert total(one.amounts for one in period_totals(session, client_id, unit, *ever)) == everything
        of_servers = server_totals(session, client_id, *ever, limit=1000)
        assert total(one.amounts for one in of_servers) == everything
        for one in of_servers:
            for unit in Unit:
                found = period_totals(session, client_id, unit, *ever, one.server_id)
                assert total(each.amounts for each in found) == one.amounts


def primary_of(sessions: SessionFactory, server_id: str) -> str:
    with sessions() as session:
        return session.scalars(select(Instance.id).where(Instance.primary_of == server_id)).one()
