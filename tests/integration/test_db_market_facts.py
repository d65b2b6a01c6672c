"""On-demand prices, scores, bands, facts and files: what spot prices are held against."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text

from db.engine.session import SessionFactory, make_session_factory
from db.market import (
    file_loading,
    incoming_prices,
    on_demand,
    pool_facts,
    scores_and_bands,
)
from db.market.incoming_prices import store_spot_prices
from db.tables import (
    PlacementScore,
)
from domain.market.observed_prices import PriceBounds
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.market.spot_advisor import InterruptionBand
from domain.pools import Pool
from tests.database_schemas import NOW, unique
from tests.price_records import EC2, REGION, ZONE, a_type, at, keep, said

pytest_plugins = ["tests.database_fixtures"]


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
        query = select(PlacementScore.at, PlacementScore.score).where(
            PlacementScore.types_key == scores_and_bands.types_key(types), PlacementScore.zone == ZONE
        )
        assert session.execute(query.order_by(PlacementScore.at)).all() == [(at(0), 9), (at(1), 3)]
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
