"""Sums over the ledger of savings: they agree with each other, and none reads a whole table."""

from __future__ import annotations

import csv
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text

from api.screens.savings_csv import to_csv
from db.clients import clients
from db.engine.session import SessionFactory, in_transaction
from db.fleet import agents
from db.savings.accrual import accrue
from db.savings.booking import SUMS, _booked
from db.savings.totals import Unit, period_totals, server_totals, unit_start
from db.savings.weekly_summary import week_start, write_weekly_summaries
from db.status.summary import summary
from db.tables import Event, Operation, SavingsDay, SavingsEntry, SavingsHour, Server
from domain.savings.amounts import NOTHING, Amounts, total
from tests.database_schemas import unique
from tests.integration.savings_ledger import (
    AGAIN,
    REGION,
    T0,
    a_server,
    at,
    empty_ledger,
    on_demand,
    price,
    primary_of,
    run,
    sums_agree,
)
from tests.integration.test_db_queries import explained

__all__ = ["empty_ledger"]  # a fixture
pytest_plugins = ["tests.database_fixtures"]


def test_hours_days_months_servers_and_clients_agree_to_the_last_digit(
    sessions: SessionFactory, client_id: str
) -> None:
    for n in range(40):
        price(sessions, n * 1.7 - 5, f"0.0{30 + 7 * n % 60}1")
    on_demand(sessions, "0.0957")
    for n in range(7):
        a_server(sessions, client_id, since=-1 - n / 7, spot_at=n * 1.13)
    run(sessions, -2)
    for hours in (1.01, 30.3, 66.6, 700.1):
        run(sessions, hours)
    sums_agree(sessions, client_id)
    with sessions() as session:
        assert len(period_totals(session, client_id, Unit.MONTH, at(-2000), at(2000))) == 1
        assert next(one.start for one in period_totals(session, client_id, Unit.DAY, at(0), at(48))) == unit_start(
            Unit.DAY, at(24)
        )


def test_another_clients_money_is_not_in_it(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    other = unique("cli")
    in_transaction(sessions, lambda session: clients.create_client(session, other, other, at(-100)))
    theirs = a_server(sessions, other, since=0)
    run(sessions, 2)
    with sessions() as session:
        for unit in Unit:
            assert period_totals(session, client_id, unit, at(-100), at(100)) == []
            assert period_totals(session, client_id, unit, at(-100), at(100), theirs) == []
            assert period_totals(session, None, unit, at(-100), at(100)) != []
        assert server_totals(session, client_id, at(-100), at(100), 10) == []
        assert summary(session, client_id, at(2)).this_month == NOTHING


def test_the_summary_counts_what_there_is(sessions: SessionFactory, client_id: str) -> None:
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=0)
    run(sessions, 1.5)
    now = at(1.5)
    serving = primary_of(sessions, server_id)
    with sessions.begin() as session:
        agents.register_agent(session, client_id, serving, "1", {}, now)
        for n, (kind, status, outage) in enumerate(
            [
                ("switch", "committed", 1500),
                ("switch", "rolled_back", None),
                ("failover", "committed", 58_500),
                ("switch", "running", None),
            ]
        ):
            session.add(
                Operation(
                    id=unique("op"),
                    server_id=server_id,
                    client_id=client_id,
                    kind=kind,
                    status=status,
                    attention=n == 1,
                    requested_at=at(1),
                    receipt={"control_outage_ms": outage},
                )
            )
    with sessions() as session:
        found = summary(session, client_id, now)
    assert found.servers == {"active": 1}
    assert (found.instances, found.agents_online) == (1, 1)
    assert found.this_hour == Amounts(primary=20_000, on_demand=48_000)
    assert found.this_day.saved == found.this_month.saved - 0  # the ledger began today
    assert (found.record.switches, found.record.switches_committed, found.record.failovers) == (2, 1, 1)
    assert found.record.outage_ms == 60_000
    assert found.record.success_rate == pytest.approx(0.5)
    assert (found.in_progress, found.needs_attention, found.waiting_for_approval) == (1, 1, 0)


def test_the_summarys_money_is_that_of_its_hour_its_day_and_its_month(sessions: SessionFactory, client_id: str) -> None:
    price(sessions, -5, "0.04")
    on_demand(sessions)
    for since in (0, 3.3):
        a_server(sessions, client_id, since=since, spot_at=since)
    for hours in (0, 30.3):  # it begins with the first
        run(sessions, hours)
    now = at(30.3)
    with sessions() as session:
        found = summary(session, client_id, now)
        by_hours = [
            total(one.amounts for one in period_totals(session, client_id, Unit.HOUR, unit_start(unit, now), now))
            for unit in (Unit.HOUR, Unit.DAY, Unit.MONTH)
        ]
        of_servers = total(
            one.amounts for one in server_totals(session, client_id, unit_start(Unit.MONTH, now), now, 10)
        )
    assert [found.this_hour, found.this_day, found.this_month] == by_hours
    assert found.this_month == of_servers
    assert len({NOTHING, *by_hours}) == 4, "the three differ, or nothing is compared"


def test_a_week_is_told_once_and_when_it_is_complete(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    a_server(sessions, client_id, since=0)
    run(sessions, 0)
    over = week_start(T0) + timedelta(days=7)
    assert write_weekly_summaries(sessions, over + timedelta(minutes=5))[1] == 0, "its last hours are not booked yet"
    accrue(sessions, over + timedelta(minutes=6), AGAIN)
    week, told = write_weekly_summaries(sessions, over + timedelta(minutes=7))
    assert (week, told >= 1) == (week_start(T0), True)
    assert write_weekly_summaries(sessions, over + timedelta(days=1))[1] == 0
    with sessions() as session:
        of_week = Event.client_id == client_id, Event.type == "summary.weekly"
        [event] = session.scalars(select(Event).where(*of_week)).all()
    assert event.payload["week"] == "2026-03-02"
    assert event.payload["on_demand_usd"] == pytest.approx(0.096 * (7 * 24 - 10))
    assert event.payload["saved_usd"] == 0


def test_csv_is_escaped_and_no_name_is_a_formula() -> None:
    text_ = to_csv(
        ("name",), [(('=HYPERLINK("x")',), Amounts(primary=1)), (('a,"b"\nc',), NOTHING), (("ok",), NOTHING)]
    )
    rows = list(csv.reader(text_.splitlines(keepends=True)))
    assert [row[0] for row in rows] == ["name", '\'=HYPERLINK("x")', 'a,"b"\nc', "ok"]
    assert rows[1][1:3] == ["0.000001", "0.000001"]
    assert rows[1][7] == "-0.000001"


_LISTS: dict[str, Any] = {
    "hours": lambda s, c: period_totals(s, c, Unit.HOUR, at(100), at(110)),
    "hours of a server": lambda s, c: period_totals(s, c, Unit.HOUR, at(100), at(400), "srv-3"),
    "days": lambda s, c: period_totals(s, c, Unit.DAY, at(100), at(148)),
    "days of a server": lambda s, c: period_totals(s, c, Unit.DAY, at(100), at(900), "srv-3"),
    "months": lambda s, c: period_totals(s, c, Unit.MONTH, at(100), at(148)),
    "servers": lambda s, c: server_totals(s, c, at(100), at(148), 10),
}


@pytest.fixture
def many(sessions: SessionFactory) -> None:
    """60 servers of six clients, a thousand hours."""
    zeros = dict.fromkeys(SUMS, 1)
    with sessions.begin() as session:
        for server in range(60):
            whose = {"server_id": f"srv-{server}", "client_id": f"cli-{server % 6}", **zeros}
            hours = [
                {**whose, "hour": at(n), "number": 0, "until_at": at(n + 1), "reason": "accrual", "recorded_at": at(n)}
                for n in range(0, 1000, 2)
            ]
            session.execute(insert(SavingsEntry), hours)
            session.execute(insert(SavingsDay), [{**whose, "day": unit_start(Unit.DAY, at(24 * n))} for n in range(40)])
            session.execute(
                insert(Server),
                [
                    {
                        "id": f"srv-{server}",
                        "client_id": f"cli-{server % 6}",
                        "name": f"n-{server}",
                        "region": REGION,
                        "account_id": "1",
                        "handoff": "stateless",
                        "policy": {},
                        "moves": [],
                        "state": "active",
                        "version": 1,
                        "created_at": T0,
                        "updated_at": T0,
                    }
                ],
            )
        hours = [{"client_id": f"cli-{n % 6}", "hour": at(n // 6), **zeros} for n in range(6000)]
        session.execute(insert(SavingsHour), hours)
    with sessions.begin() as session:
        session.execute(text("ANALYZE TABLE savings, savings_hours, savings_days, servers"))


@pytest.mark.parametrize("who", ["cli-3", None], ids=["client", "admin"])
def test_no_sum_reads_a_whole_table(sessions: SessionFactory, many: None, who: str | None) -> None:
    for name, query in _LISTS.items():
        with sessions() as session, explained(session) as scans:
            assert query(session, who), name
        assert scans == [], name


def test_an_accrual_reads_what_it_needs_by_index(sessions: SessionFactory, client_id: str, many: None) -> None:
    with sessions() as session, explained(session) as scans:
        assert _booked(session, [f"srv-{n}" for n in range(30)], [at(100), at(104)])
    assert scans == []
