"""Corrections of the ledger of savings: what was recorded late, or was otherwise, becomes an entry of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.event import listen, remove

from db.engine.session import SessionFactory
from db.market.canonical import open_corrections
from db.savings.accrual_inputs import fleet_between
from domain.savings.amounts import NOTHING, Amounts
from tests.integration.savings_ledger import (
    a_server,
    at,
    booked,
    empty_ledger,
    end_instance,
    entries,
    instance,
    on_demand,
    price,
    primary_of,
    run,
    sums_agree,
)

__all__ = ["empty_ledger"]  # a fixture
pytest_plugins = ["tests.database_fixtures"]


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
    sums_agree(sessions, client_id)


def test_the_daily_look_back_finds_what_was_recorded_days_late(sessions: SessionFactory, client_id: str) -> None:
    run(sessions, -2)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 50)
    on_demand(sessions)
    run(sessions, 51)
    assert booked(sessions, server_id)[10] == Amounts(unpriced_s=3600)
    run(sessions, 51, again=timedelta(days=7))
    assert booked(sessions, server_id)[10] == Amounts(primary=96_000, on_demand=96_000)


def test_hours_booked_after_an_end_that_became_known_late_come_to_nothing(
    sessions: SessionFactory, client_id: str
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    run(sessions, 0)
    run(sessions, 5)
    end_instance(sessions, primary_of(sessions, server_id), ended=0.5, known=5)
    run(sessions, 5.5)
    found = booked(sessions, server_id)
    assert [found[hour] for hour in (2, 3, 4)] == [NOTHING] * 3, "the three hours looked at again"
    run(sessions, 6, again=timedelta(days=1))
    found = booked(sessions, server_id)
    assert found.pop(0) == Amounts(primary=48_000, on_demand=48_000)
    assert set(found.values()) == {NOTHING}
    assert run(sessions, 6, again=timedelta(days=1)).corrections == 0
    sums_agree(sessions, client_id)


def test_an_instance_that_ends_while_the_fleet_is_read_is_counted_once(
    sessions: SessionFactory, client_id: str
) -> None:
    server_id = a_server(sessions, client_id, since=0)
    instance_id = primary_of(sessions, server_id)
    ends = [lambda: end_instance(sessions, instance_id, ended=1, known=2)]

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
    sums_agree(sessions, client_id)
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
