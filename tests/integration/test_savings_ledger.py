"""The ledger of savings in the database: accrued once, corrected by entries, and its sums agree."""

from __future__ import annotations

import csv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select, text
from sqlalchemy.event import listen, remove
from sqlalchemy.exc import DBAPIError
from temporalio.exceptions import ApplicationError

from activities.savings.activity import SavingsActivities
from api.screens.savings_csv import to_csv
from db.clients import clients
from db.engine.session import SessionFactory, in_transaction
from db.fleet import agents
from db.market.canonical import open_corrections
from db.market.on_demand import keep_on_demand
from db.market.tiers import store_in_tiers
from db.savings import accrual
from db.savings import accrual_lock as alone_
from db.savings.accrual import AccrualResult, accrue
from db.savings.accrual_inputs import fleet_between, prices_between
from db.savings.accrual_lock import LOCK, AccrualBusy
from db.savings.booking import SUMS, _booked, accrued_until
from db.savings.totals import Unit, period_totals, server_totals, unit_start
from db.savings.weekly_summary import week_start, write_weekly_summaries
from db.status.summary import summary
from db.tables import Event, Instance, Operation, Resource, SavingsDay, SavingsEntry, SavingsHour, Server
from domain.errors import Failure
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from domain.savings import contract
from domain.savings.amounts import NOTHING, Amounts, total
from tests.database_schemas import unique
from tests.integration.test_db_queries import explained

pytest_plugins = ["tests.database_fixtures"]

T0 = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)  # a Monday
REGION, ZONE, HOME, SPOT = "us-east-1", "us-east-1a", "m5.large", "m6a.large"
AGAIN = timedelta(hours=3)


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


@pytest.fixture(autouse=True)
def _empty(sessions: SessionFactory) -> None:
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


# --- accrual


def test_an_hour_on_demand_saves_nothing_and_an_hour_on_spot_the_difference(
    sessions: SessionFactory, client_id: str
) -> None:
    run(sessions, -2)
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=1)
    run(sessions, 3)
    found = booked(sessions, server_id)
    assert found[-1] == Amounts(primary=96_000, on_demand=96_000)
    assert found[0] == Amounts(primary=96_000, overlap=4_000, on_demand=96_000)  # the new one ran for six minutes
    assert found[1] == Amounts(primary=40_000, overlap=9_600, on_demand=96_000)  # and the old one for six
    assert found[2] == Amounts(primary=40_000, on_demand=96_000)


def test_the_same_accrual_again_adds_nothing(sessions: SessionFactory, client_id: str) -> None:
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=1)
    first = run(sessions, 3)
    assert first.accruals == len(entries(sessions, server_id)) > 0
    before = [vars(one) for one in entries(sessions, server_id)]
    assert (run(sessions, 3).accruals, run(sessions, 3).corrections) == (0, 0)
    after = [vars(one) for one in entries(sessions, server_id)]
    assert [{**one, "_sa_instance_state": 0} for one in before] == [{**one, "_sa_instance_state": 0} for one in after]


def test_an_open_hour_is_booked_so_far_and_then_the_rest(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    for hours in (0.25, 0.5, 1.5):
        run(sessions, hours)
    assert [(one.primary_micro, one.reason) for one in entries(sessions, server_id)] == [
        (24_000, "accrual"),
        (24_000, "accrual"),
        (48_000, "accrual"),
        (48_000, "accrual"),
    ]
    assert booked(sessions, server_id)[0] == Amounts(primary=96_000, on_demand=96_000)


def test_what_was_missed_while_everything_was_down_is_caught_up(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 1)
    run(sessions, 100)
    assert sorted(booked(sessions, server_id)) == [float(n) for n in range(100)]
    with sessions() as session:
        assert accrued_until(session) == at(100)


def test_two_accruals_at_once_book_once(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    ids = [a_server(sessions, client_id, since=-2) for _ in range(20)]
    run(sessions, -1.5)  # both go on from here

    def attempt(_: int) -> str:
        try:
            SavingsActivities(sessions, lambda: at(1)).accrue(contract.AccrueInput())
        except Exception as error:
            return type(error).__name__
        return "done"

    with ThreadPoolExecutor(4) as pool:
        ends = set(pool.map(attempt, range(4)))
    assert ends <= {"done", "ApplicationError"}
    run(sessions, 1)
    for server_id in ids:
        assert booked(sessions, server_id)[0] == Amounts(primary=96_000, on_demand=96_000)
        assert len({one.hour for one in entries(sessions, server_id)}) == 3
    _sums_agree(sessions, client_id)


def _in_the_midst(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> None:
    """Between what an accrual reads of the servers and what it books."""
    read, waiting = prices_between, [happens]

    def reading(*given: Any) -> Any:
        if waiting:
            waiting.pop()()
        return read(*given)

    monkeypatch.setattr(accrual, "prices_between", reading)


def test_what_an_older_accrual_read_undoes_nothing_that_a_newer_one_booked(
    sessions: SessionFactory, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 2)
    monkeypatch.setattr(alone_, "WAIT_S", 0)
    newer: list[str] = []

    def meanwhile() -> None:
        instance(sessions, server_id, client_id, 0, roles=[(0, "replica")])
        try:
            run(sessions, 2)
        except AccrualBusy:
            newer.append("comes again")
            return
        newer.append("done")
        assert booked(sessions, server_id)[1].replica == 96_000

    _in_the_midst(monkeypatch, meanwhile)
    run(sessions, 2)
    if newer == ["comes again"]:
        run(sessions, 2)
    assert booked(sessions, server_id)[1] == Amounts(primary=96_000, replica=96_000, on_demand=96_000)


def test_an_accrual_that_lost_its_lock_books_nothing_more(
    sessions: SessionFactory, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)

    def meanwhile() -> None:
        with sessions.begin() as session:
            holder = session.scalar(text(f"SELECT IS_USED_LOCK({LOCK})"))
            session.execute(text(f"KILL CONNECTION {holder:d}"))

    _in_the_midst(monkeypatch, meanwhile)
    with pytest.raises((AccrualBusy, DBAPIError)):
        run(sessions, 2)
    assert entries(sessions, server_id) == []
    run(sessions, 2)
    assert booked(sessions, server_id)[1] == Amounts(primary=96_000, on_demand=96_000)


def test_an_accrual_that_meets_another_comes_again(
    sessions: SessionFactory, client_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alone_, "WAIT_S", 0)
    with alone_.hold_accrual_lock(sessions), pytest.raises(ApplicationError, match="another accrual") as caught:
        SavingsActivities(sessions, lambda: at(1)).accrue(contract.AccrueInput())
    assert caught.value.type == Failure.UNAVAILABLE.value
    run(sessions, 1)


def test_the_ledger_begins_when_it_is_first_kept(sessions: SessionFactory, client_id: str) -> None:
    """What ran as what before is not known, and what it cost hardly."""
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=-500)
    run(sessions, 1)
    run(sessions, 2, again=timedelta(days=7))
    assert min(booked(sessions, server_id)) == -2


def test_what_has_no_on_demand_price_is_named_to_be_asked_for(sessions: SessionFactory, client_id: str) -> None:
    a_server(sessions, client_id, spot_at=0)
    work = SavingsActivities(sessions, lambda: at(1))
    assert work.accrue(contract.AccrueInput()).lacking == {REGION: [HOME]}
    on_demand(sessions)
    assert work.accrue(contract.AccrueInput()).lacking == {}


# --- corrections


def test_a_late_price_is_a_new_entry(sessions: SessionFactory, client_id: str) -> None:
    run(sessions, -2)
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=0)
    run(sessions, 20)
    before = entries(sessions, server_id)
    price(sessions, 5, "0.06")
    done = run(sessions, 20)
    assert booked(sessions, server_id)[5] == Amounts(primary=60_000, on_demand=96_000)
    assert booked(sessions, server_id)[4] == Amounts(primary=40_000, on_demand=96_000)
    late = [one for one in entries(sessions, server_id) if one.reason == "correction"]
    assert {one.primary_micro for one in late} == {20_000}
    assert len(late) == done.corrections == 15
    assert len(entries(sessions, server_id)) == len(before) + len(late)
    with sessions() as session:
        assert open_corrections(session) == []


def test_a_worker_whose_clock_lies_behind_loses_no_correction(sessions: SessionFactory, client_id: str) -> None:
    run(sessions, -2)
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=0)
    run(sessions, 20)
    price(sessions, 5, "0.06")
    run(sessions, 1)
    assert booked(sessions, server_id)[10].primary == 60_000


def test_an_unknown_price_is_said_and_made_good_when_it_is_known(sessions: SessionFactory, client_id: str) -> None:
    run(sessions, -2)
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=0)
    run(sessions, 20)
    assert booked(sessions, server_id)[5] == Amounts(unpriced_s=3600)
    price(sessions, 2.5, "0.05")
    run(sessions, 20)
    assert booked(sessions, server_id)[5] == Amounts(primary=50_000, on_demand=96_000)
    assert booked(sessions, server_id)[2] == Amounts(primary=25_000, on_demand=48_000, unpriced_s=1800)
    assert booked(sessions, server_id)[1] == Amounts(unpriced_s=3600)


def test_what_turns_out_to_have_run_otherwise_is_corrected(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 5)
    replica = instance(sessions, server_id, client_id, 3, roles=[(3, "replica")])  # recorded late
    run(sessions, 5.5)
    assert booked(sessions, server_id)[4] == Amounts(primary=96_000, replica=96_000, on_demand=96_000)
    with sessions.begin() as session:
        session.execute(text("DELETE FROM instances WHERE id = :id"), {"id": replica})
    run(sessions, 5.5)
    assert booked(sessions, server_id)[4] == Amounts(primary=96_000, on_demand=96_000)
    _sums_agree(sessions, client_id)


def test_the_daily_look_back_finds_what_was_recorded_days_late(sessions: SessionFactory, client_id: str) -> None:
    run(sessions, -2)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 50)
    on_demand(sessions)
    run(sessions, 51)
    assert booked(sessions, server_id)[10] == Amounts(unpriced_s=3600)
    run(sessions, 51, again=timedelta(days=7))
    assert booked(sessions, server_id)[10] == Amounts(primary=96_000, on_demand=96_000)


def _ended(sessions: SessionFactory, instance_id: str, ended: float, known: float) -> None:
    with sessions.begin() as session:
        row = session.scalars(select(Instance).where(Instance.id == instance_id)).one()
        row.state, row.role, row.terminate_requested_at, row.updated_at = "terminated", None, at(ended), at(known)


def test_hours_booked_after_an_end_that_became_known_late_come_to_nothing(
    sessions: SessionFactory, client_id: str
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 0)
    run(sessions, 5)
    _ended(sessions, _primary(sessions, server_id), ended=0.5, known=5)
    run(sessions, 5.5)
    found = booked(sessions, server_id)
    assert [found[hour] for hour in (2, 3, 4)] == [NOTHING] * 3, "the three hours looked at again"
    run(sessions, 6, again=timedelta(days=1))
    found = booked(sessions, server_id)
    assert found.pop(0) == Amounts(primary=48_000, on_demand=48_000)
    assert set(found.values()) == {NOTHING}
    assert run(sessions, 6, again=timedelta(days=1)).corrections == 0
    _sums_agree(sessions, client_id)


def test_an_instance_that_ends_while_the_fleet_is_read_is_counted_once(
    sessions: SessionFactory, client_id: str
) -> None:
    server_id = a_server(sessions, client_id, since=0)
    instance_id = _primary(sessions, server_id)
    ends = [lambda: _ended(sessions, instance_id, ended=1, known=2)]

    def after_the_first(*_: Any) -> None:
        if ends:
            ends.pop()()

    with sessions() as session:
        listening = (session.connection(), "after_cursor_execute", after_the_first)
        listen(*listening)
        [found] = fleet_between(session, at(0), at(2))
        remove(*listening)
    assert [one.until_at for one in found.instances] == [at(1)]


_turns = st.lists(
    st.one_of(
        st.tuples(st.just("price"), st.integers(-3, 30), st.sampled_from(["0.03", "0.05", "0.08"])),
        st.tuples(st.just("accrue"), st.integers(1, 30), st.just("")),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(turns=_turns)
def test_corrections_converge_to_what_a_fresh_ledger_says(
    sessions: SessionFactory, client_id: str, turns: list[tuple[str, int, str]]
) -> None:
    _clear(sessions)
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=-1, spot_at=0.5)
    run(sessions, 0)
    for what, hours, usd in turns:
        if what == "price":
            price(sessions, hours, usd)
        else:
            run(sessions, hours)
    run(sessions, 31)
    run(sessions, 31)
    found = booked(sessions, server_id)
    _sums_agree(sessions, client_id)
    with sessions.begin() as session:
        for name in ("savings", "savings_hours", "savings_days", "savings_progress"):
            session.execute(text(f"DELETE FROM {name}"))
    run(sessions, 0)
    run(sessions, 31)
    assert found == booked(sessions, server_id)


def _clear(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for name in ("savings", "savings_hours", "savings_days", "savings_progress", "instances", "servers"):
            session.execute(text(f"DELETE FROM {name}"))
        for name in ("price_corrections", "prices_canonical", "prices_consolidated", "price_series"):
            session.execute(text(f"DELETE FROM {name}"))
        session.execute(text("DELETE FROM price_observations"))


# --- sums


def _sums_agree(sessions: SessionFactory, client_id: str) -> None:
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
    _sums_agree(sessions, client_id)
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


def test_a_snapshot_counts_for_as_long_as_it_is_kept_whatever_is_looked_at_again(
    sessions: SessionFactory, client_id: str
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    kept = {"type": "snapshot", "state": "live", "details": {"gib": 730}, "live_at": at(0)}
    with sessions.begin() as session:
        session.add(Resource(client_id=client_id, server_id=server_id, resource_id="snap-1", **kept))
    run(sessions, 1)
    _ended(sessions, _primary(sessions, server_id), ended=1, known=1)
    for hours in (2, 5, 8):
        run(sessions, hours)
    before = booked(sessions, server_id)
    assert {one.snapshot for one in before.values()} == {50_000}
    assert len(before) == 8
    for again in (3, 24, 3):
        assert run(sessions, 8, again=timedelta(hours=again)).corrections == 0
    assert booked(sessions, server_id) == before


def test_a_snapshot_counts_from_its_making_to_its_end(sessions: SessionFactory, client_id: str) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    kept = {"type": "snapshot", "state": "gone", "details": {"gib": 730}, "live_at": at(1), "gone_at": at(1.5)}
    with sessions.begin() as session:
        session.add(Resource(client_id=client_id, server_id=server_id, resource_id="snap-1", **kept))
        session.add(Resource(client_id=client_id, server_id=server_id, resource_id="snap-2", **kept | {"details": {}}))
    run(sessions, 3)
    assert {hour: one.snapshot for hour, one in booked(sessions, server_id).items()} == {0: 0, 1: 25_000, 2: 0}


# --- the head of the dashboard, the week


def test_the_summary_counts_what_there_is(sessions: SessionFactory, client_id: str) -> None:
    price(sessions, -5, "0.04")
    on_demand(sessions)
    server_id = a_server(sessions, client_id, spot_at=0)
    run(sessions, 1.5)
    now = at(1.5)
    serving = _primary(sessions, server_id)
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


def _primary(sessions: SessionFactory, server_id: str) -> str:
    with sessions() as session:
        return session.scalars(select(Instance.id).where(Instance.primary_of == server_id)).one()


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


# --- plans


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
