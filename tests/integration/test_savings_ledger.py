"""The ledger of savings in the database: each hour is booked once, whoever accrues beside."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from temporalio.exceptions import ApplicationError

from activities.savings.activity import SavingsActivities
from db.engine.session import SessionFactory
from db.savings import accrual
from db.savings import accrual_lock as alone_
from db.savings.accrual_inputs import prices_between
from db.savings.accrual_lock import LOCK, AccrualBusy
from db.savings.booking import accrued_until
from db.tables import Resource
from domain.errors import Failure
from domain.savings import contract
from domain.savings.amounts import Amounts
from tests.integration.savings_ledger import (
    HOME,
    REGION,
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
    sums_agree(sessions, client_id)


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


def test_a_snapshot_counts_for_as_long_as_it_is_kept_whatever_is_looked_at_again(
    sessions: SessionFactory, client_id: str
) -> None:
    on_demand(sessions)
    server_id = a_server(sessions, client_id, since=0)
    kept = {"type": "snapshot", "state": "live", "details": {"gib": 730}, "live_at": at(0)}
    with sessions.begin() as session:
        session.add(Resource(client_id=client_id, server_id=server_id, resource_id="snap-1", **kept))
    run(sessions, 1)
    end_instance(sessions, primary_of(sessions, server_id), ended=1, known=1)
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
