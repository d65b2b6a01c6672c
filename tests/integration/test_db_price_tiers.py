"""Prices in three tiers: late prices mend the past, repeated ones change nothing."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.market import (
    canonical,
)
from db.market.incoming_prices import store_spot_prices
from db.tables import (
    PoolRow,
    PriceCanonical,
    PriceConsolidated,
    PriceCorrection,
    PriceObservation,
    PriceSeries,
    PriceSetAside,
)
from domain.market.observed_prices import PriceBounds, PricePoint, PriceSource, ReportedPrice, SetAsideReason
from domain.market.price_series import PriceStepKind, confidence_at, consolidate, price_steps
from lab.stack.database import Database
from tests.database_schemas import NOW, temporary_schema
from tests.price_records import (
    REGION,
    ZONE,
    a_type,
    at,
    head,
    keep,
    prices,
    said,
    series,
    set_aside_since,
    step_at,
    the_open,
)

pytest_plugins = ["tests.database_fixtures"]


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
        found = step_at(session, kind, at(30))
    assert found is not None
    assert (found.kind, confidence_at(found, at(30)), found.confirmed_at) == (PriceStepKind.OBSERVED, 1.0, at(24))


def test_two_writers_of_one_pool_lose_nothing(sessions: SessionFactory) -> None:
    kind = a_type()
    batches = [[said(kind, hour + piece, f"{hour + piece + 1}") for hour in range(0, 40, 4)] for piece in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda batch: keep(sessions, batch), batches))
    assert prices(series(sessions, kind)) == [(hour, str(hour + 1)) for hour in range(40)]


def test_what_agents_see_counts_where_ec2_has_told_nothing(sessions: SessionFactory) -> None:
    kind = a_type()
    with sessions.begin() as session:
        assert store_spot_prices(session, [said(kind, 1, "0.04")], PriceSource.AGENT, PriceBounds(), NOW).observed == 1
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
        listed = [one for one in set_aside_since(session, NOW) if one.instance_type == kind]
    assert {one.reason for one in listed} == {SetAsideReason.BETTER_KNOWN}


def test_an_agents_newer_word_that_came_first_is_not_followed_by_another(sessions: SessionFactory) -> None:
    kind = a_type()
    keep(sessions, [said(kind, 2, "0.01")], PriceSource.AGENT)
    keep(sessions, [said(kind, 1, "0.05")])
    assert keep(sessions, [said(kind, 3, "0.02")], PriceSource.AGENT).set_aside == 1
    keep(sessions, [said(kind, 4, "0.05")])
    assert head(sessions, kind).tail_usd == Decimal("0.05")


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
        found = set_aside_since(session, since)
    listed = [one for one in found if one.instance_type == kind]
    counted = Counter(one.reason for one in found)
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
