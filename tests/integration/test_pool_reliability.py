"""What workflows record of pools becomes the pools' reliability, and the autopilot decides on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from db.autopilot.experiences import experiences, forget_experiences, keep_experiences
from db.engine.session import SessionFactory
from db.market.incoming_prices import mark_collected, store_spot_prices
from db.market.pool_facts import pool_facts_since
from db.market.region_records import PriceRecords, read_supply_facts
from domain.autopilot.experience import Experience
from domain.market.contract import spot_collection
from domain.market.observed_prices import PriceBounds as Checked
from domain.market.observed_prices import PriceSource, ReportedPrice
from domain.market.pool_reliability import PoolFactKind
from tests.database_schemas import NOW, unique
from tests.fleet_records import POOL, K, RecordedServer, instance, switch_records

pytest_plugins = ["tests.database_fixtures"]
REGION = "us-east-1"
LATER = NOW + timedelta(minutes=5)


@pytest.fixture
def fleet(sessions: SessionFactory, client_id: str) -> RecordedServer:
    made = RecordedServer(sessions, client_id)
    made.adopt()
    return made


def facts(sessions: SessionFactory, about: str) -> list[tuple[str, PoolFactKind, float | None]]:
    with sessions() as session:
        found = pool_facts_since(session, REGION, NOW - timedelta(days=1), LATER)
    return [(str(one.pool), one.kind, one.seconds) for one in found if about in one.fact_id]


def cool_down(reason: str) -> tuple[K, dict[str, str]]:
    return K.POOL_COOL_DOWN, {"pool": POOL, "until": (NOW + timedelta(hours=1)).isoformat(), "reason": reason}


def test_a_launch_is_a_fact_with_its_time(fleet: RecordedServer, sessions: SessionFactory) -> None:
    old, new, op = unique("i"), unique("i"), unique("op")
    batch = fleet.batch(op, *switch_records(old, new))
    fleet.activities.record(batch)
    fleet.activities.record(batch)
    assert facts(sessions, new) == [(POOL, PoolFactKind.LAUNCHED, 2.5)]


def test_a_refused_launch_is_a_fact_and_a_quota_is_none(fleet: RecordedServer, sessions: SessionFactory) -> None:
    op = unique("op")
    fleet.write(op, cool_down("NoCapacity"), cool_down("LimitReached"), cool_down("launch was not confirmed"))
    assert facts(sessions, op) == [(POOL, PoolFactKind.NO_CAPACITY, None)] * 2


@pytest.mark.parametrize(
    ("kind", "source", "becomes"),
    [
        ("interruption", "imds", PoolFactKind.NOTICE),
        ("interruption", "lost", PoolFactKind.LOST),
        ("rebalance", "imds", PoolFactKind.REBALANCE),
    ],
)
def test_a_notice_is_a_fact_of_its_pool_once(
    fleet: RecordedServer, sessions: SessionFactory, kind: str, source: str, becomes: PoolFactKind
) -> None:
    spot = unique("i")
    fleet.write("", instance(spot, "running_primary", role="primary", pool=POOL))
    for heard in (source, "eventbridge"):
        told = {"notice_id": f"{spot}/{kind}", "instance_id": spot, "kind": kind, "source": heard}
        fleet.write("", (K.NOTICE, {**told, "seen_at": NOW.isoformat()}))
    assert facts(sessions, spot) == [(POOL, becomes, None)]


def test_what_was_lived_through_is_read_with_who_is_still_there(
    fleet: RecordedServer, sessions: SessionFactory
) -> None:
    spot = unique("i")
    fleet.write("", instance(spot, "running_primary", role="primary", pool=POOL))
    fleet.write(
        "", (K.NOTICE, {"instance_id": spot, "kind": "rebalance", "source": "imds", "seen_at": NOW.isoformat()})
    )
    fleet.write(unique("op"), cool_down("NoCapacity"))
    with sessions() as session:
        found = read_supply_facts(session, REGION, LATER)
        before = read_supply_facts(session, REGION, NOW - timedelta(days=1))
    assert POOL in found.watched
    assert POOL in found.cooling_down
    assert found.histories[POOL].losses > 0.9
    assert 0 < found.rebalanced[POOL] < 1
    assert before.histories == {}, "a look at the past sees nothing newer"


# --- prices


def test_prices_come_from_the_records_as_long_as_they_are_collected(sessions: SessionFactory) -> None:
    zone, now = "us-west-2a", datetime.now(UTC)
    said = [
        ReportedPrice("us-west-2", zone, "m5.large", now - timedelta(hours=h), usd)
        for h, usd in ((30, 0.02), (6, 0.03))
    ]
    said.append(ReportedPrice("us-west-2", zone, "c5.large", now - timedelta(hours=40), 0.04))
    records = PriceRecords()
    with sessions.begin() as session:
        store_spot_prices(session, said, PriceSource.EC2, Checked(now), now)
    with sessions() as session:
        assert not records.of(session, "us-west-2", now).collected
    with sessions.begin() as session:
        mark_collected(session, spot_collection("us-west-2"), now)
    with sessions() as session:
        found = records.of(session, "us-west-2", now)
        stale = records.of(session, "us-west-2", now + timedelta(hours=1))
    assert found.collected
    assert found.current == {(zone, "m5.large")}, "AWS has not repeated the other for more than a day"
    assert not stale.collected
    price = found.prices[zone, "m5.large"]
    assert (price.usd, price.changes) == (0.03, 1.0)
    assert price.moved == pytest.approx(0.5)
    with sessions.begin() as session:
        store_spot_prices(
            session, [ReportedPrice("us-west-2", zone, "m5.large", now, 0.06)], PriceSource.EC2, Checked(now), now
        )
    with sessions() as session:
        assert records.of(session, "us-west-2", now).prices[zone, "m5.large"].usd == 0.06


# --- what was learnt


def test_what_was_learnt_is_kept_and_forgotten_when_no_server_needs_it(sessions: SessionFactory) -> None:
    needs = {"region": REGION, "on_demand_usd": 0.096}
    one = Experience(NOW.timestamp() / 3600, 1.5, 2.25, {POOL: 0.0123456789})
    with sessions.begin() as session:
        keep_experiences(session, {"k": (needs, one)})
        keep_experiences(session, {"k": (needs, one), "l": (needs, Experience(one.at_h))})
    with sessions() as session:
        found = experiences(session)
    assert (found["k"].at_h, found["k"].losses, found["k"].expected) == (one.at_h, 1.5, 2.25)
    assert found["k"].held == {POOL: 0.0123457}
    with sessions.begin() as session:
        forget_experiences(session, NOW + timedelta(days=31))
    with sessions() as session:
        assert experiences(session) == {}
