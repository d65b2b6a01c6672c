"""Old prices go by policy, tier by tier; what is left goes on without a gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine, func, select, text

from db.engine import schema
from db.engine.session import make_engine, make_session_factory
from db.market import (
    canonical,
    partitions,
)
from db.market.partitions import RotationBusy
from db.market.thinning import (
    thin_canonical,
    thin_consolidated,
    thin_corrections,
    thin_observations,
    thin_set_aside,
)
from db.market.tiers import store_in_tiers
from db.tables import (
    PriceObservation,
)
from domain.market.observed_prices import PriceBounds, ReportedPrice, SetAsideReason
from tests.database_schemas import NOW
from tests.price_records import EC2, REGION, ZONE, a_type, at, keep, prices, said, series, set_aside_since, the_open

pytest_plugins = ["tests.database_fixtures"]


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
        assert [one.reason for one in set_aside_since(session, NOW)] == [SetAsideReason.TOO_OLD]
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
