"""Prices are read by index, and no more rows than are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text
from sqlalchemy.orm import Session

from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.market import (
    canonical,
)
from db.market.heatmap import region_heatmap
from db.market.region_records import read_supply_facts
from db.tables import (
    OnDemandPriceRow,
    PlacementScore,
    PoolFactRow,
    PoolRow,
    PriceCanonical,
    PriceSeries,
)
from domain.market.instance_cost import instance_cost
from domain.market.observed_prices import ReportedPrice
from domain.market.on_demand_prices import LINUX
from domain.market.price_series import PriceStepKind
from lab.stack.database import Database
from tests.database_schemas import NOW, temporary_schema
from tests.integration.test_db_queries import explained
from tests.price_records import REGION, ZONE, a_type, at, keep, said, step_at

pytest_plugins = ["tests.database_fixtures"]


def test_the_cost_of_hours_is_exact_and_knows_what_it_does_not_know(sessions: SessionFactory) -> None:
    kind = a_type()
    keep(sessions, [said(kind, 0.5, "0.03"), said(kind, 1.25, "0.07")])
    with sessions() as session:
        steps = canonical.series_between(session, ZONE, kind, at(-1), at(2))
        assert step_at(session, kind, at(0)) is None
        assert step_at(session, "never.seen", at(0)) is None
    unknown, half, mixed = (instance_cost(steps, at(hour), at(hour + 1)) for hour in (-1, 0, 1))
    whole = instance_cost(steps, at(-1), at(2))
    assert (unknown.known, half.known, mixed.known) == (0, 0.5, 1)
    assert mixed.mean_usd_per_hour == Decimal("0.06")
    assert whole.usd_seconds == half.usd_seconds + mixed.usd_seconds


def test_a_regions_day_holds_every_pools_price_from_its_first_moment(own: Engine) -> None:
    sessions = make_session_factory(own)
    midnight = datetime(2026, 3, 2, tzinfo=UTC)
    keep(
        sessions,
        [
            ReportedPrice(REGION, ZONE, "a.large", midnight - timedelta(days=9), "1"),
            ReportedPrice(REGION, ZONE, "b.large", midnight, "2"),
            ReportedPrice(REGION, ZONE, "b.large", midnight + timedelta(hours=3), "3"),
            ReportedPrice(REGION, ZONE, "c.large", midnight + timedelta(hours=23), "4"),
            ReportedPrice(REGION, ZONE, "d.large", midnight + timedelta(hours=24), "5"),
            ReportedPrice("eu-west-1", "eu-west-1a", "a.large", midnight, "6"),
        ],
    )
    with sessions() as session:
        day = canonical.day_of_prices(session, REGION, midnight + timedelta(hours=5))
    found = {kind: [str(step.usd)[0] for step in day[ZONE, kind]] for _, kind in day}
    assert found == {"a.large": ["1"], "b.large": ["2", "3"], "c.large": ["4"]}
    assert day[ZONE, "a.large"][0].kind is PriceStepKind.FILLED


def a_history(sessions: SessionFactory, pools: int, changes: int) -> None:
    """A region of many pools with a long past each, written straight into the last tier."""
    with sessions.begin() as session:
        for start in range(0, pools, 200):
            numbers = range(start + 1, start + 201)
            plain = {"region": "eu-west-3", "version": 1, "tail_source": "", "tail_last_source": ""}
            series_rows = [{"id": n, "zone": "eu-west-3a", "instance_type": f"t{n}.large", **plain} for n in numbers]
            session.execute(insert(PriceSeries), series_rows)
            facts = {"usd_per_hour": Decimal(1), "kind": "observed", "confidence": 1.0, "source": "ec2"}
            rows = []
            for n in numbers:
                starts = [NOW - timedelta(days=change, minutes=n) for change in range(changes, 0, -1)]
                for from_at, until_at in zip(starts, [*starts[1:], None], strict=True):
                    rows.append(
                        {"series_id": n, "from_at": from_at, "until_at": until_at, "confirmed_at": NOW, **facts}
                    )
            session.execute(insert(PriceCanonical), rows)
        elsewhere = [{"zone": "eu-west-4a", "instance_type": f"t{n}.large", **plain} for n in range(pools)]
        session.execute(insert(PriceSeries), [{**row, "region": "eu-west-4"} for row in elsewhere])
    with sessions.begin() as session:
        session.execute(insert(PoolFactRow), [_a_fact(n) for n in range(3000)])
        session.execute(insert(PoolRow), [_a_pool(n) for n in range(2000)])
        session.execute(insert(OnDemandPriceRow), [_a_dear_price(n) for n in range(2000)])
        session.execute(insert(PlacementScore), [_a_score(n) for n in range(2000)])
    with sessions() as session:
        tables = "price_series, prices_canonical, pool_facts, pools, on_demand_prices, placement_scores"
        session.execute(text(f"ANALYZE TABLE {tables}"))


def _region(n: int) -> str:
    return "eu-west-3" if n % 20 == 0 else f"eu-west-{4 + n % 19}"


def _a_fact(n: int) -> dict[str, Any]:
    where = {"region": _region(n), "pool": f"{_region(n)}a/t{n % 300}.large/spot"}
    return {"fact_id": f"fact-{n}", **where, "kind": "no_capacity", "at": NOW - timedelta(minutes=n)}


def _a_pool(n: int) -> dict[str, Any]:
    place = {"region": _region(n), "zone": f"{_region(n)}a", "instance_type": f"t{n}.large", "lifecycle": "spot"}
    until = NOW + timedelta(minutes=1000 - n)
    return {"id": f"{_region(n)}a/t{n}.large/spot", **place, "cool_down_until": until}


def _a_dear_price(n: int) -> dict[str, Any]:
    what = {"region": _region(n), "instance_type": f"t{n}.large", "platform": LINUX, "source": "api"}
    return {**what, "valid_from": NOW - timedelta(days=30), "usd_per_hour": Decimal("0.1"), "seen_at": NOW}


def _a_score(n: int) -> dict[str, Any]:
    what = {"region": _region(n), "zone": f"{_region(n)}a", "types_key": "t1.large,t2.large,t3.large", "score": 5}
    return {**what, "at": NOW - timedelta(minutes=n)}


@pytest.fixture(scope="module")
def history(db_server: Database) -> Iterator[SessionFactory]:
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        engine = make_engine(url)
        sessions = make_session_factory(engine)
        a_history(sessions, 1000, 100)
        yield sessions
        engine.dispose()


YESTERDAY = NOW - timedelta(days=1)
READS: dict[str, Callable[[Session], Any]] = {
    "a region's day": lambda s: canonical.day_of_prices(s, "eu-west-3", YESTERDAY),
    "a region's market": lambda s: region_heatmap(s, "eu-west-3", YESTERDAY, NOW),
    "a region's pools": lambda s: read_supply_facts(s, "eu-west-3", NOW).histories,
    "a pool's steps": lambda s: canonical.series_between(s, "eu-west-3a", "t7.large", YESTERDAY, NOW),
}


@pytest.mark.parametrize("name", READS)
def test_no_question_about_prices_reads_a_whole_table(history: SessionFactory, name: str) -> None:
    with history() as session, explained(session) as scans:
        assert READS[name](session), "the query finds something, else its plan says nothing"
    assert scans == []


@pytest.mark.parametrize("day", [YESTERDAY, NOW - timedelta(days=60)], ids=["yesterday", "two months ago"])
def test_a_regions_day_touches_little_more_than_its_own_rows(history: SessionFactory, day: datetime) -> None:
    """Counted by the server: of 100,000 steps, those of the day, and one seek for each pool."""
    with history() as session:
        canonical.day_of_prices(session, "eu-west-3", day)
        before = _rows_read(session)
        found = canonical.day_of_prices(session, "eu-west-3", day)
        touched = _rows_read(session) - before
    assert sum(map(len, found.values())) >= 1000
    assert touched < 15_000


@pytest.mark.parametrize("day", [YESTERDAY, NOW - timedelta(days=60)], ids=["yesterday", "two months ago"])
def test_a_pools_day_is_one_statement_that_touches_little_more_than_its_own_rows(
    history: SessionFactory, day: datetime
) -> None:
    """Of the pool's 100 steps, those of the day, and the seek for the one in force at its start."""
    with history() as session:
        canonical.series_between(session, "eu-west-3a", "t7.large", day, day + timedelta(days=1))
        asked, read = _status(session, "Questions"), _rows_read(session)
        found = canonical.series_between(session, "eu-west-3a", "t7.large", day, day + timedelta(days=1))
        touched = _rows_read(session) - read
        statements = _status(session, "Questions") - asked
    assert found
    assert touched <= len(found) + 10
    assert statements == 4, "one, two counts of rows and the count of statements itself"


def test_a_pools_steps_are_the_same_whatever_the_zone_of_the_time_asked_for(history: SessionFactory) -> None:
    """Also before its first price, where nothing is in force at the start."""
    before, east = NOW - timedelta(days=100, hours=1), timezone(timedelta(hours=14))
    with history() as session:
        found = canonical.series_between(session, "eu-west-3a", "t7.large", before, NOW)
        same = canonical.series_between(
            session, "eu-west-3a", "t7.large", before.astimezone(east), NOW.astimezone(east)
        )
    assert len(found) == 100
    assert same == found


def _status(session: Session, name: str) -> int:
    return int(session.execute(text(f"SHOW SESSION STATUS LIKE '{name}'")).one()[1])


def _rows_read(session: Session) -> int:
    rows = session.execute(text("SHOW SESSION STATUS LIKE 'Handler_read%'"))
    return sum(int(value) for _, value in rows)
