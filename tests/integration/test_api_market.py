"""What people see of the market: pools, their prices, a region's day, and what the autopilot sees for a server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from db.market.incoming_prices import store_spot_prices
from db.market.on_demand import keep_on_demand
from db.market.pool_facts import append_pool_facts
from db.market.scores_and_bands import keep_bands, keep_scores
from domain.autopilot.contract import PreviewInput, PreviewResult
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.on_demand_prices import LINUX, OnDemandPrice
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.market.spot_advisor import InterruptionBand
from domain.pools import Pool
from tests.api_world import World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]

NOW = datetime.now(UTC).replace(microsecond=0)
# A region of this module's own: the schema is shared with other tests of the API.
REGION = "ap-market-1"
POOL, OTHER = f"{REGION}a/m5.large/spot", f"{REGION}b/m5.large/spot"


@pytest.fixture
def market(world: World) -> World:
    """A week of prices in two pools, and what happened in the first."""
    said = [
        ReportedPrice(REGION, f"{REGION}a", "m5.large", NOW - timedelta(hours=h), f"0.0{30 + h % 7}")
        for h in range(0, 96, 3)
    ]
    said.append(ReportedPrice(REGION, f"{REGION}b", "m5.large", NOW - timedelta(hours=2), "0.05"))
    dear = OnDemandPrice(REGION, "m5.large", LINUX, Decimal("0.1"), NOW - timedelta(days=900), "api")
    kinds = [
        (PoolFactKind.NO_CAPACITY, 3),
        (PoolFactKind.NOTICE, 5),
        (PoolFactKind.LAUNCHED, 6),
        (PoolFactKind.NOTICE, 60),
    ]
    facts = [
        PoolFact(f"{kind}-{h}", REGION, Pool.parse(POOL), kind, NOW - timedelta(hours=h), 41.0 if h == 6 else None)
        for kind, h in kinds
    ]
    with world.services.database.sessions.begin() as session:
        store_spot_prices(session, said, PriceSource.EC2, PriceBounds(NOW), NOW)
        keep_on_demand(session, [dear], NOW)
        append_pool_facts(session, facts)
        keep_scores(session, REGION, ["c5.large", "m5.large", "r5.large"], {f"{REGION}a": 3}, NOW - timedelta(hours=1))
        keep_bands(session, [InterruptionBand(REGION, "m5.large", 4, NOW - timedelta(days=3))])
    return world


async def pools(market: World) -> dict[str, dict[str, Any]]:
    answer = await market.call("GET", f"/api/pools?region={REGION}")
    return {pool["id"]: pool for pool in answer.json()["items"]}


async def test_a_pool_is_shown_with_its_price_its_past_and_its_risk(market: World) -> None:
    found = await pools(market)
    pool, other = found[POOL], found[OTHER]
    assert (pool["usd_per_hour"], pool["on_demand_usd_per_hour"]) == (0.030, 0.1)
    assert (pool["last_day"]["capacity_failures"], pool["last_day"]["notices"]) == (1, 1)
    assert (pool["last_week"]["notices"], pool["last_week"]["launches"], pool["last_week"]["launch_s"]) == (2, 1, 41.0)
    assert (pool["placement_score"], pool["advisor_band"], pool["own_history"]) == (3, 4, True)
    assert (other["own_history"], other["availability"], other["placement_score"]) == (False, None, None)
    assert pool["losses_per_hour"] > other["losses_per_hour"] > 0


async def test_a_pools_prices_are_one_gapless_series_with_their_confidence(market: World) -> None:
    start = (NOW - timedelta(days=2)).isoformat()
    answer = await market.call("GET", f"/api/pools/{POOL}/prices", params={"from": start, "to": NOW.isoformat()})
    body = answer.json()
    assert (body["pool"], body["on_demand_usd_per_hour"], body["shortened"]) == (POOL, 0.1, False)
    points = body["points"]
    assert [a["until_at"] for a in points[:-1]] == [b["from_at"] for b in points[1:]]
    assert (points[0]["from_at"], points[-1]["until_at"]) == (body["from_at"], body["until_at"])
    assert {(point["kind"], point["confidence"]) for point in points} == {("observed", 1.0)}

    short = (await market.call("GET", f"/api/pools/{POOL}/prices?max_points=4")).json()
    assert short["shortened"]
    assert len(short["points"]) <= 4
    assert min(point["min_usd_per_hour"] for point in short["points"]) == 0.030
    assert max(point["max_usd_per_hour"] for point in short["points"]) == 0.036


async def test_a_regions_day_is_one_line_a_pool(market: World) -> None:
    body = (await market.call("GET", f"/api/market?region={REGION}")).json()
    by_pool = {pool["pool"]: pool for pool in body["pools"]}
    assert set(by_pool) == {POOL, OTHER}
    pool = by_pool[POOL]
    assert (pool["usd_per_hour"], pool["share_of_on_demand"]) == (0.030, 0.3)
    assert (pool["min_usd_per_hour"], pool["max_usd_per_hour"]) == (0.030, 0.036)
    assert (pool["lived"]["capacity_failures"], pool["lived"]["notices"], pool["placement_score"]) == (1, 1, 3)
    before = {
        "region": REGION,
        "from": (NOW - timedelta(days=9)).isoformat(),
        "to": (NOW - timedelta(days=8)).isoformat(),
    }
    assert (await market.call("GET", "/api/market", params=before)).json()["pools"] == [], "nobody knew a price then"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/pools/nowhere/prices", 422),
        (f"/api/pools/{REGION}a/x9.large/spot/prices", 404),
        (f"/api/pools/{REGION}a/m5.large/on-demand/prices", 404),
        (f"/api/pools/{POOL}/prices?max_points=0", 422),
        (f"/api/pools/{POOL}/prices?from=2026-01-02T00:00:00", 422),
        (f"/api/pools/{POOL}/prices?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", 422),
        (f"/api/market?region={REGION}&from=2020-01-01T00:00:00Z", 422),
        ("/api/market", 422),
    ],
)
async def test_what_cannot_be_asked_is_said(market: World, path: str, status: int) -> None:
    answer = await market.call("GET", path)
    assert answer.status_code == status, answer.text
    problem_type(answer)


async def test_what_the_autopilot_sees_for_a_server(world: World) -> None:
    server = world.server()
    figures = {"here": {"pool": POOL}, "candidates": [{"pool": OTHER, "usd_per_h": 0.05, "blocked": "resting"}]}
    world.temporal.looked = PreviewResult("move", "cheaper", "off", OTHER, figures)
    body = (await world.call("GET", f"/api/servers/{server.id}/candidates?limit=3")).json()
    assert (body["kind"], body["held_by"], body["to_pool"], body["figures"]) == ("move", "off", OTHER, figures)
    assert world.temporal.asked == [("candidates", PreviewInput(server.id, 3))]


async def test_candidates_of_what_is_not_ones_own_or_cannot_be_seen(world: World) -> None:
    server = world.server()
    assert (await world.call("GET", f"/api/servers/{server.id}/candidates", world.other)).status_code == 404
    assert (await world.call("GET", f"/api/servers/{unique('srv')}/candidates")).status_code == 404
    world.temporal.looked = PreviewResult(problem="the server has no primary that EC2 knows")
    answer = await world.call("GET", f"/api/servers/{server.id}/candidates")
    assert (answer.status_code, problem_type(answer)) == (409, "conflict")
