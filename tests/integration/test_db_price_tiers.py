"""The three tiers in the database: mended by whatever comes, thinned by policy, read by index."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.orm import Session

from db.engine import schema
from db.engine.session import SessionFactory, in_transaction, make_engine, make_session_factory
from db.market import (
    canonical,
    file_loading,
    incoming_prices,
    on_demand,
    partitions,
    pool_facts,
    scores_and_bands,
)
from db.market.heatmap import region_heatmap
from db.market.incoming_prices import store_spot_prices
from db.market.partitions import RotationBusy
from db.market.region_records import read_supply_facts
from db.market.thinning import (
    thin_canonical,
    thin_consolidated,
    thin_corrections,
    thin_observations,
    thin_set_aside,
)
from db.market.tiers import BatchResult, store_in_tiers
from db.tables import (
    OnDemandPriceRow,
    PlacementScore,
    PoolFactRow,
    PoolRow,
    PriceCanonical,
    PriceConsolidated,
    PriceCorrection,
    PriceObservation,
    PriceSeries,
    PriceSetAside,
)
from domain.market.observed_prices import PriceBounds, PricePoint, PriceSource, ReportedPrice, SetAsideReason
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.market.price_series import PriceStep, PriceStepKind, consolidate, price_steps
from domain.market.spot_advisor import InterruptionBand
from domain.pools import Pool
from lab.stack.database import Database
from tests import market_tables
from tests.database_schemas import NOW, temporary_schema, unique
from tests.integration.test_db_queries import explained
from tests.market_tables import Observation, record_prices

pytest_plugins = ["tests.database_fixtures"]

REGION, ZONE = "us-east-1", "us-east-1a"
EC2 = PriceSource.EC2


def at(hours: float) -> datetime:
    return NOW + timedelta(hours=hours)


def a_type() -> str:
    """A pool that no other test knows."""
    return f"{unique('m')[:14]}.large"


def said(kind: str, hours: float, usd: str, zone: str = ZONE) -> ReportedPrice:
    return ReportedPrice(REGION, zone, kind, at(hours), usd)


def keep(
    sessions: SessionFactory,
    prices: Sequence[ReportedPrice],
    source: PriceSource = EC2,
    known: PriceBounds = PriceBounds(),  # noqa: B008 - frozen
) -> BatchResult:
    return in_transaction(sessions, lambda session: store_in_tiers(session, prices, source, known, NOW))


def series(sessions: SessionFactory, kind: str, zone: str = ZONE) -> list[PriceStep]:
    with sessions() as session:
        return canonical.series_between(session, zone, kind, at(-100_000), at(100_000))


def head(sessions: SessionFactory, kind: str) -> PriceSeries:
    with sessions() as session:
        return session.scalars(select(PriceSeries).where(PriceSeries.instance_type == kind)).one()


def prices(found: Sequence[PriceStep]) -> list[tuple[float, str]]:
    """(hours after NOW from which it holds, USD per hour), each change once."""
    hours = [((step.from_at - NOW) / timedelta(hours=1), f"{step.usd:f}".rstrip("0").rstrip(".")) for step in found]
    return [one for n, one in enumerate(hours) if n == 0 or hours[n - 1][1] != one[1]]


def the_open(sessions: SessionFactory, kind: str) -> list[PriceCorrection]:
    with sessions() as session:
        return [one for one in canonical.open_corrections(session, 100_000) if one.instance_type == kind]


# --- mended by whatever comes

_instants = st.builds(
    lambda step, seconds: NOW + step * timedelta(hours=7) + timedelta(seconds=seconds),
    st.integers(0, 20),
    st.sampled_from([0, 20, 3600]),
)
# An agent's word counts only until EC2 speaks of the pool: what it comes to is not the same in any order.
_sources = st.sampled_from([PriceSource.EC2, PriceSource.FILE])
_points = st.builds(PricePoint, _instants, st.sampled_from([Decimal(1), Decimal(2)]), _sources)
_batches = st.lists(st.lists(_points, min_size=1, max_size=6), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=_batches, random=st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_end_in_the_same_rows(
    sessions: SessionFactory, batches: list[list[PricePoint]], random: Any
) -> None:
    kind = a_type()
    shuffled = [*batches, *batches[::2]]
    random.shuffle(shuffled)
    for batch in shuffled:
        for source in PriceSource:
            keep(
                sessions, [ReportedPrice(REGION, ZONE, kind, p.at, p.usd) for p in batch if p.source is source], source
            )
    runs = consolidate(point for batch in batches for point in batch)
    assert series(sessions, kind) == price_steps(runs)
    number = head(sessions, kind).id
    query = select(PriceConsolidated).where(PriceConsolidated.series_id == number).order_by(PriceConsolidated.minute)
    with sessions() as session:
        kept = [(row.at, row.usd_per_hour, row.source, row.last_at, row.last_source) for row in session.scalars(query)]
        observed = session.scalar(
            select(func.count()).select_from(PriceObservation).where(PriceObservation.instance_type == kind)
        )
    assert kept == [tuple(run) for run in runs]
    assert observed == len({point for batch in batches for point in batch})


def a_day(zones: str = "abc", types: int = 12) -> list[ReportedPrice]:
    """A region's day: every pool says its price, some change it, some are nonsense."""
    day: list[ReportedPrice] = []
    for zone in zones:
        for n in range(types):
            kind, place = f"day{n}.large", f"{REGION}{zone}"
            day += [said(kind, hour + n / 60, f"0.{n + hour // 9:03d}1", place) for hour in range(0, 24, 3)]
            day.append(said(kind, n, "0" if n % 2 else "-1", place))
    return day


def everything(sessions: SessionFactory) -> tuple[object, ...]:
    tables = (PriceObservation, PriceSetAside, PriceConsolidated, PriceCanonical, PriceCorrection)
    with sessions() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in tables]
        versions = session.execute(select(PriceSeries.id, PriceSeries.version).order_by(PriceSeries.id)).all()
        return canonical.canonical_checksum(session, REGION), counts, [tuple(row) for row in versions]


def test_a_regions_whole_day_collected_twice_changes_nothing(sessions: SessionFactory) -> None:
    first = keep(sessions, a_day())
    assert first.observed > 0
    assert first.set_aside > 0
    assert first.changes
    before = everything(sessions)
    again = keep(sessions, a_day())
    assert again.changes == []
    for start in range(0, 324, 50):
        keep(sessions, a_day()[::-1][start : start + 100])
    assert everything(sessions) == before


def test_a_day_in_pieces_backwards_ends_as_the_day_at_once(db_server: Database) -> None:
    sums = []
    for pieces in (1, 5):
        with temporary_schema(db_server) as url:
            schema.upgrade(url)
            engine = make_engine(url)
            sessions = make_session_factory(engine)
            day = a_day()[::-1] if pieces > 1 else a_day()
            for piece in range(pieces):
                keep(sessions, day[piece::pieces])
            with sessions() as session:
                sums.append(canonical.canonical_checksum(session, REGION))
            engine.dispose()
    assert sums[0] == sums[1] != 0


def test_late_prices_mend_the_past_they_speak_of_and_say_so(sessions: SessionFactory) -> None:
    kind, other = a_type(), a_type()
    keep(sessions, [said(kind, 0, "1"), said(kind, 10, "3"), said(other, 0, "5")])
    before, untouched = head(sessions, kind).version, series(sessions, other)
    with sessions.begin() as session:
        canonical.settle_corrections(session, [one.id for one in the_open(sessions, kind)], NOW)

    kept = keep(sessions, [said(kind, 4, "2")])

    assert prices(series(sessions, kind)) == [(0, "1"), (4, "2"), (10, "3")]
    assert [change.span for change in kept.changes] == [(at(4), at(10))]
    (told,) = the_open(sessions, kind)
    assert (told.region, told.zone, told.from_at, told.until_at) == (REGION, ZONE, at(4), at(10))
    assert head(sessions, kind).version == before + 1
    assert series(sessions, other) == untouched


def test_a_repeat_confirms_and_corrects_nothing(sessions: SessionFactory) -> None:
    kind = a_type()
    keep(sessions, [said(kind, 0, "1")])
    assert keep(sessions, [said(kind, 24, "1")]).changes == []
    assert [step.kind for step in series(sessions, kind)] == [PriceStepKind.OBSERVED, PriceStepKind.FILLED]
    with sessions() as session:
        found = market_tables.price_at(session, ZONE, kind, at(30))
    assert found is not None
    assert (found.kind, found.confidence, found.confirmed_at) == (PriceStepKind.OBSERVED, 1.0, at(24))


def test_two_writers_of_one_pool_lose_nothing(sessions: SessionFactory) -> None:
    kind = a_type()
    batches = [[said(kind, hour + piece, f"{hour + piece + 1}") for hour in range(0, 40, 4)] for piece in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda batch: keep(sessions, batch), batches))
    assert prices(series(sessions, kind)) == [(hour, str(hour + 1)) for hour in range(40)]


def test_what_agents_see_counts_where_ec2_has_told_nothing(sessions: SessionFactory) -> None:
    kind = a_type()
    with sessions.begin() as session:
        assert record_prices(session, [Observation(REGION, ZONE, kind, at(1), 0.04)], "agent") == 1
    keep(sessions, [said(kind, 2, "0.05")])
    assert [(step.usd, step.source) for step in series(sessions, kind)][:2] == [
        (Decimal("0.04"), PriceSource.AGENT),
        (Decimal("0.05"), PriceSource.EC2),
    ]


def test_an_agent_never_says_otherwise_than_ec2(sessions: SessionFactory) -> None:
    """Its host may be entered by others, and all clients decide on the price in force."""
    kind = a_type()
    keep(sessions, [said(kind, 0, "0.05")])
    before = series(sessions, kind)
    with sessions.begin() as session:
        agents = [said(kind, hour, "0.000001") for hour in (-1, 0, 1)]
        kept = store_spot_prices(session, [*agents, said(kind, 2, "0.05")], PriceSource.AGENT, PriceBounds(), NOW)
    assert (kept.observed, kept.set_aside, kept.newest) == (0, 3, {})
    assert series(sessions, kind) == before
    assert head(sessions, kind).tail_last_at == at(0), "nor does its word keep a pool current that EC2 no longer names"
    with sessions() as session:
        assert session.scalar(select(PoolRow.priced_at).where(PoolRow.instance_type == kind)) is None
        listed = [one for one in market_tables.list_set_aside(session, NOW, 1000) if one.instance_type == kind]
    assert {one.reason for one in listed} == {SetAsideReason.BETTER_KNOWN}


def test_an_agents_newer_word_that_came_first_is_not_followed_by_another(sessions: SessionFactory) -> None:
    kind = a_type()
    keep(sessions, [said(kind, 2, "0.01")], PriceSource.AGENT)
    keep(sessions, [said(kind, 1, "0.05")])
    assert keep(sessions, [said(kind, 3, "0.02")], PriceSource.AGENT).set_aside == 1
    keep(sessions, [said(kind, 4, "0.05")])
    assert head(sessions, kind).tail_usd == Decimal("0.05")


# --- set aside


def test_impossible_prices_are_counted_and_can_be_read_as_they_came(sessions: SessionFactory) -> None:
    kind, known = a_type(), PriceBounds(now=NOW, on_demand={(REGION, "m5.huge"): Decimal("0.1")})
    bad = [
        said(kind, 0, "0"),
        said(kind, 0, "-1"),
        said(kind, 0, "NaN"),
        said("m5.huge", 0, "1.01"),
        said(kind, 1, "0.1"),
        said(kind, 0, "0.1")._replace(currency="CNY"),
        said(kind, 0, "0.1")._replace(zone="Mordor"),
        said("🐉" * 99, 0, "0.1"),
    ]
    since = NOW
    for _ in range(2):
        assert keep(sessions, bad, known=known).set_aside == len(bad)
    with sessions() as session:
        assert session.scalar(select(func.count()).where(PriceObservation.instance_type == kind)) == 0
        counted = market_tables.count_set_aside(session, since)
        listed = [one for one in market_tables.list_set_aside(session, since, 1000) if one.instance_type == kind]
    assert counted.keys() >= set(SetAsideReason) - {
        SetAsideReason.BAD_TIME,
        SetAsideReason.TOO_OLD,
        SetAsideReason.BETTER_KNOWN,
    }
    assert sorted(one.price for one in listed) == ["-1", "0", "0.1", "0.1", "0.1", "NaN"]
    assert counted[SetAsideReason.CURRENCY] == counted[SetAsideReason.NOT_A_NUMBER] == 1


def test_a_price_that_is_no_longer_in_the_future_is_kept(sessions: SessionFactory) -> None:
    kind = a_type()
    assert keep(sessions, [said(kind, 1, "0.1")], known=PriceBounds(NOW)).set_aside == 1
    assert keep(sessions, [said(kind, 1, "0.1")], known=PriceBounds(at(2))).observed == 1
    assert prices(series(sessions, kind)) == [(1, "0.1")]


# --- partitions and thinning


@pytest.fixture
def own(db_server: Database) -> Iterator[Engine]:
    """A migrated schema of the test's own."""
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        engine = make_engine(url)
        yield engine
        engine.dispose()


def names(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return partitions.partitions(connection)


def test_months_are_made_ahead_and_dropped_when_they_are_past(own: Engine) -> None:
    assert names(own) == ["pmax"]
    assert thin_observations(own, NOW) == []
    assert names(own) == ["p202603", "p202604", "p202605", "pmax"]
    assert thin_observations(own, NOW) == []
    later = datetime(2026, 5, 10, tzinfo=UTC)
    assert thin_observations(own, later) == ["p202603"], "April ended ten days ago"
    assert names(own) == ["p202604", "p202605", "p202606", "p202607", "pmax"]
    assert thin_observations(own, datetime(2027, 12, 20, tzinfo=UTC))[-1] == "p202711"
    assert names(own) == ["p202712", "p202801", "p202802", "pmax"]


def test_prices_older_and_newer_than_every_partition_are_kept_until_their_months_are_dropped(own: Engine) -> None:
    sessions, kind = make_session_factory(own), a_type()
    keep(sessions, [said(kind, 9000, "3")])
    thin_observations(own, NOW)
    keep(sessions, [said(kind, -9000, "1"), said(kind, 0, "2"), said(kind, 19_000, "4")])
    assert prices(series(sessions, kind)) == [(-9000, "1"), (0, "2"), (9000, "3"), (19_000, "4")]
    assert thin_observations(own, datetime(2026, 4, 20, tzinfo=UTC)) == ["p202603"]
    with sessions() as session:
        left = session.scalars(select(PriceObservation.usd_per_hour).order_by(PriceObservation.at))
        assert [str(usd) for usd in left] == ["3.000000", "4.000000"]
    assert len(prices(series(sessions, kind))) == 4, "the other tiers keep theirs"


def test_two_rotations_at_once_are_one(own: Engine) -> None:
    with own.connect() as other:
        other.execute(text("SELECT GET_LOCK(LEFT(CONCAT('rotate.', DATABASE()), 64), 0)"))
        with pytest.raises(RotationBusy):
            thin_observations(own, NOW)
    assert names(own) == ["pmax"]


def test_thinned_runs_leave_a_series_that_goes_on_without_a_gap(own: Engine) -> None:
    sessions, kind, still = make_session_factory(own), a_type(), a_type()
    keep(sessions, [said(kind, hour, f"{hour // 24 + 1}") for hour in range(0, 240, 24)])
    keep(sessions, [said(still, hour, "7") for hour in range(0, 240, 24)])
    assert thin_consolidated(sessions, at(240), timedelta(hours=100)) == 6
    assert thin_consolidated(sessions, at(240), timedelta(hours=100)) == 0
    before = series(sessions, kind)

    late = keep(sessions, [said(kind, 12, "9"), said(kind, 150, "8"), said(still, 250, "7")])

    assert late.set_aside == 1
    with sessions() as session:
        assert market_tables.count_set_aside(session, NOW) == {SetAsideReason.TOO_OLD: 1}
    assert prices(before)[:6] == prices(series(sessions, kind))[:6]
    assert (150, "8") in prices(series(sessions, kind))
    for found in (series(sessions, kind), series(sessions, still)):
        assert all(step.until_at == after.from_at for step, after in pairwise(found))
    assert prices(series(sessions, still)) == [(0, "7")], "a run that was repeated since is not thinned"


def test_a_pool_that_was_silent_until_its_runs_were_thinned_goes_on(own: Engine) -> None:
    sessions, kind = make_session_factory(own), a_type()
    keep(sessions, [said(kind, 0, "1"), said(kind, 1, "2"), said(kind, 100, "3")])
    with own.begin() as connection:
        connection.execute(text("UPDATE price_series SET tail_at = NULL, tail_last_at = NULL"))
    assert thin_consolidated(sessions, at(200), timedelta(hours=1)) == 3
    keep(sessions, [said(kind, 300, "4")])
    found = series(sessions, kind)
    assert prices(found) == [(0, "1"), (1, "2"), (100, "3"), (300, "4")]
    assert all(step.until_at == after.from_at for step, after in pairwise(found))


def test_old_steps_go_and_the_price_in_force_stays(own: Engine) -> None:
    sessions, kind = make_session_factory(own), a_type()
    keep(sessions, [said(kind, hour, f"{hour + 1}") for hour in range(10)])
    assert thin_canonical(sessions, at(5.5), timedelta(hours=1)) == 4
    assert prices(series(sessions, kind))[0] == (4, "5")


def test_what_was_set_aside_and_what_was_settled_go_in_time(own: Engine) -> None:
    sessions, kind = make_session_factory(own), a_type()
    keep(sessions, [said(kind, 0, "0"), said(kind, 0, "1"), said(kind, 1, "2")])
    keep(sessions, [said(kind, 2, "3")])
    first, *_ = the_open(sessions, kind)
    with sessions.begin() as session:
        canonical.settle_corrections(session, [first.id], NOW)
    assert thin_set_aside(sessions, at(24), timedelta(days=2)) == 0
    assert thin_set_aside(sessions, at(72), timedelta(days=2)) == 1
    assert thin_corrections(sessions, at(24), timedelta(days=2)) == 0
    assert thin_corrections(sessions, at(72), timedelta(days=2)) == 2


def test_the_migration_keeps_prices_up_and_down(empty_schema: str) -> None:
    schema.upgrade(empty_schema, "0002")
    engine = make_engine(empty_schema)
    row = f"('{ZONE}', 'm5.large', '2026-01-01 00:00:00', 'ec2', '{REGION}', 0.05)"
    with engine.begin() as connection:
        connection.execute(text(f"INSERT INTO price_observations VALUES {row}"))
    schema.upgrade(empty_schema)
    kind = "m5.large"
    sessions = make_session_factory(engine)
    with sessions.begin() as session:
        assert session.scalars(select(PriceObservation.seen_at)).all() == [datetime(2026, 1, 1, tzinfo=UTC)]
        store_in_tiers(
            session,
            [ReportedPrice(REGION, ZONE, kind, datetime(2026, 1, 1, tzinfo=UTC), "0.06")],
            EC2,
            PriceBounds(),
            NOW,
        )
        assert session.scalar(select(func.count()).select_from(PriceObservation)) == 2
    schema.downgrade(empty_schema, "0002")
    with engine.connect() as connection:
        assert [str(usd) for usd in connection.scalars(text("SELECT usd_per_hour FROM price_observations"))] == [
            "0.060000"
        ]
    engine.dispose()


# --- read


def test_the_cost_of_hours_is_exact_and_knows_what_it_does_not_know(sessions: SessionFactory) -> None:
    kind = a_type()
    keep(sessions, [said(kind, 0.5, "0.03"), said(kind, 1.25, "0.07")])
    with sessions() as session:
        unknown, half, mixed = market_tables.cost_by_hour(session, ZONE, kind, at(-1), at(2))
        whole = market_tables.cost_between(session, ZONE, kind, at(-1), at(2))
        assert market_tables.price_at(session, ZONE, kind, at(0)) is None
        assert market_tables.price_at(session, ZONE, "never.seen", at(0)) is None
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
    "a pool's price": lambda s: market_tables.price_at(s, "eu-west-3a", "t7.large", YESTERDAY),
    "a pool's hours": lambda s: market_tables.cost_by_hour(s, "eu-west-3a", "t7.large", YESTERDAY, NOW),
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


# --- what prices are held against, and reliability


def priced(usd: str, since: int, source: str, kind: str = "m5.large") -> OnDemandPrice:
    return OnDemandPrice(REGION, kind, LINUX, Decimal(usd), datetime(since, 1, 1, tzinfo=UTC), source)


def test_the_on_demand_price_of_a_time_is_the_latest_valid_by_then(sessions: SessionFactory) -> None:
    rows = [priced("0.1", 2020, "file"), priced("0.2", 2024, "file"), priced("0.3", 2024, "api")]
    rows += [priced("1", 2030, "scaled", "m9.large")]
    with sessions.begin() as session:
        assert on_demand.keep_on_demand(session, rows, NOW) == 4
        on_demand.keep_on_demand(session, rows, NOW)
        then = on_demand.on_demand_prices(session, REGION, datetime(2021, 1, 1, tzinfo=UTC))
        now = on_demand.on_demand_prices(session, REGION, NOW)
    assert then == {"m5.large": Decimal("0.1"), "m9.large": Decimal(1)}, "better a later one than none"
    assert now["m5.large"] == Decimal("0.3"), "the API's before a file's"


def test_only_types_that_the_api_has_not_told_lately_are_asked_for(own: Engine) -> None:
    sessions = make_session_factory(own)
    keep(sessions, [said(kind, 0, "1", zone) for kind in ("m5.large", "c5.large") for zone in (ZONE, f"{REGION}b")])
    with sessions.begin() as session:
        on_demand.keep_on_demand(session, [priced("0.1", 2020, "api")], NOW)
        assert on_demand.types_to_price(session, REGION, NOW) == ["c5.large"]
        assert on_demand.types_to_price(session, REGION, at(1)) == ["c5.large", "m5.large"]


def test_placement_scores_are_kept_by_the_types_asked_for(sessions: SessionFactory) -> None:
    types = [f"m{n}.24xlarge" for n in range(60)]
    with sessions.begin() as session:
        for _ in range(2):
            scores_and_bands.keep_scores(session, REGION, types, {ZONE: 9}, at(0))
            scores_and_bands.keep_scores(session, REGION, types[::-1], {ZONE: 3}, at(1))
        scores_and_bands.keep_scores(session, REGION, types[:3], {ZONE: 1}, at(1))
        assert scores_and_bands.scores_since(session, REGION, types, at(0)) == {ZONE: [(at(0), 9), (at(1), 3)]}
        with pytest.raises(ValueError, match="from 1 to 10"):
            scores_and_bands.keep_scores(session, REGION, types, {ZONE: 0}, at(2))


def test_a_band_is_that_of_the_newest_snapshot_by_then(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for _ in range(2):
            scores_and_bands.keep_bands(
                session,
                [InterruptionBand(REGION, "m5.large", 0, at(0)), InterruptionBand(REGION, "m5.large", 4, at(9))],
            )
        assert scores_and_bands.bands_of(session, REGION, at(5)) == {"m5.large": 0}
        assert scores_and_bands.bands_of(session, REGION, at(9)) == {"m5.large": 4}
        assert scores_and_bands.bands_of(session, REGION, at(-1)) == {}


def test_what_happened_in_a_pool_is_written_once_and_read_by_region(sessions: SessionFactory) -> None:
    pool = Pool.parse(f"{ZONE}/m5.large/spot")
    facts = [
        PoolFact("notice-1", REGION, pool, PoolFactKind.NOTICE, at(3)),
        PoolFact("launch-1", REGION, pool, PoolFactKind.LAUNCHED, at(1), 41.5),
        PoolFact("launch-2", "eu-west-1", Pool.parse("eu-west-1a/m5.large/spot"), PoolFactKind.NO_CAPACITY, at(1)),
    ]
    with sessions.begin() as session:
        pool_facts.append_pool_facts(session, facts)
        pool_facts.append_pool_facts(session, facts)
        found = pool_facts.pool_facts_since(session, REGION, at(0), at(4))
        assert found == [facts[1], facts[0]]
        assert pool_facts.pool_facts_since(session, REGION, at(0), at(3)) == [facts[1]]


def test_a_collection_only_goes_forward(sessions: SessionFactory) -> None:
    name = unique("spot")
    with sessions.begin() as session:
        assert incoming_prices.collected_until(session, name) is None
        incoming_prices.mark_collected(session, name, at(5))
        incoming_prices.mark_collected(session, name, at(3))
        session.expire_all()
        assert incoming_prices.collected_until(session, name) == at(5)


def test_files_are_loaded_plain_or_compressed_and_twice_is_once(sessions: SessionFactory, tmp_path: Path) -> None:
    kind = a_type()
    lines = [f"{kind},{ZONE},2026-02-01T00:00:00Z,0.5", f"{kind},{ZONE},2026-02-02T00:00:00Z,0"]
    rows = "\n".join(["instance_type,az,timestamp,price_usd_h", *lines, ""])
    plain, packed = tmp_path / "prices.csv", tmp_path / "prices.csv.gz"
    plain.write_text(rows)
    packed.write_bytes(gzip.compress(rows.encode()))
    assert file_loading.load_spot_prices(sessions, plain, NOW) == (1, 1)
    assert file_loading.load_spot_prices(sessions, packed, NOW)[0] == 0
    (tmp_path / "bands.csv").write_text(
        "snapshot_date,region,instance_type,interruption_band,savings_pct\n2021-02-10,af-south-1,c5.12xlarge,2,70\n"
    )
    assert file_loading.load_bands(sessions, tmp_path / "bands.csv", NOW) == 1
    (tmp_path / "od.csv").write_text("region,instance_type,ondemand_usd_h\naf-south-1,c5.12xlarge,2.7\n")
    assert file_loading.load_on_demand(sessions, tmp_path / "od.csv", NOW) == 1


def test_the_newest_price_stands_beside_its_pool(sessions: SessionFactory) -> None:
    kind = a_type()
    with sessions.begin() as session:
        store_spot_prices(session, [said(kind, 5, "0.5"), said(kind, 3, "0.3")], EC2, PriceBounds(), NOW)
        store_spot_prices(session, [said(kind, 4, "0.4"), said(kind, 6, "0")], EC2, PriceBounds(), NOW)
        query = text("SELECT usd_per_hour FROM pools WHERE id = :id")
        assert str(session.scalar(query, {"id": f"{ZONE}/{kind}/spot"})) == "0.500000"
