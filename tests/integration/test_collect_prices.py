"""Collection against the lab: paged, only what is new, safe to repeat, and started by its schedule."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from temporalio import activity
from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import Worker

from activities.ec2.clients import Clients
from activities.market.collection import MarketCollection
from activities.market.registry import market_activities, market_schedules
from activities.market.thinning import MarketThinning
from activities.schedules import ensure_schedule
from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.market import canonical, incoming_prices, on_demand, scores_and_bands
from db.tables import (
    Base,
    Instance,
    PlacementScore,
    PoolRow,
    PriceCanonical,
    PriceConsolidated,
    PriceObservation,
    PriceSeries,
    Server,
)
from domain.market import contract
from domain.names import CONTROL_QUEUE
from lab.stack.database import Database
from tests.database_schemas import temporary_schema
from tests.integration.lab_cloud import REGION, A, Cloud, clean, cloud
from tests.price_records import set_aside_since, step_at
from workflows.scheduled.market import MARKET_WORKFLOWS

SPOT = f"spot/{REGION}/Linux/UNIX"
__all__ = ["clean", "cloud"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


@dataclass
class Market:
    cloud: Cloud
    sessions: SessionFactory
    activities: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    stopped_at: datetime | None = None

    def now(self) -> datetime:
        return self.stopped_at or datetime.now(UTC)

    def stop_clock(self) -> None:
        """For the collection: the lab's market goes on, and what is new there does not come in any more."""
        self.stopped_at = datetime.now(UTC)

    def run(self, name: str, given: Any) -> Any:
        return ActivityEnvironment().run(self.activities[name], given)

    def collect(self, **changes: Any) -> contract.CollectSpotResult:
        found: contract.CollectSpotResult = self.run(
            contract.COLLECT_SPOT, contract.CollectSpotInput(REGION, **changes)
        )
        return found

    def rows(self) -> tuple[object, ...]:
        with self.sessions() as session:
            counts = [
                session.scalar(select(func.count()).select_from(table))
                for table in (PriceObservation, PriceConsolidated, PriceCanonical)
            ]
            versions = session.execute(select(PriceSeries.id, PriceSeries.version).order_by(PriceSeries.id)).all()
            return canonical.canonical_checksum(session, REGION), counts, [tuple(row) for row in versions]

    def faults(self, **fault: Any) -> None:
        self.cloud.post("/faults", **fault)


@pytest.fixture(scope="module")
def engine(db_server: Database) -> Iterator[Engine]:
    with temporary_schema(db_server) as url:
        schema.upgrade(url)
        engine = make_engine(url)
        yield engine
        engine.dispose()


@pytest.fixture
def market(clean: Cloud, engine: Engine) -> Market:
    """The lab's market, and records that know nothing of it yet."""
    with engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    market = Market(clean, make_session_factory(engine))
    collection = MarketCollection(Clients(), market.sessions, market.now)
    for one in (*collection.activities, *MarketThinning(market.sessions, engine).activities):
        market.activities[activity._Definition.must_from_callable(one).name or ""] = one
    return market


def newest_prices(market: Market) -> dict[tuple[str, str], Any]:
    """By pool. The lab's market goes on: a pool may have another price a moment later."""
    history = market.cloud.ec2.describe_spot_price_history(ProductDescriptions=["Linux/UNIX"])["SpotPriceHistory"]
    return {(one["AvailabilityZone"], one["InstanceType"]): one for one in reversed(history)}


def test_a_regions_prices_are_collected_page_by_page(market: Market) -> None:
    before = newest_prices(market)
    found = market.collect(first_days=10)
    newest = next(one for pool, one in newest_prices(market).items() if before[pool] == one)
    assert found.calls.count("DescribeSpotPriceHistory") > 3, "several pages"
    assert found.set_aside == 0
    with market.sessions() as session:
        price = step_at(session, newest["InstanceType"], datetime.now(UTC), newest["AvailabilityZone"])
        pool = session.get(PoolRow, f"{newest['AvailabilityZone']}/{newest['InstanceType']}/spot")
        assert price is not None
        assert pool is not None
        assert f"{price.usd:f}" == newest["SpotPrice"]
        assert pool.priced_at == newest["Timestamp"] == price.confirmed_at
        observed = session.scalar(select(func.count()).select_from(PriceObservation))
    assert observed == found.observed > 2000


def test_what_is_known_is_not_asked_for_again(market: Market) -> None:
    market.stop_clock()
    first = market.collect(first_days=10)
    before = market.rows()
    second = market.collect(first_days=10)
    assert len(second.calls) < len(first.calls)
    assert second.changes == 0
    assert market.rows() == before


def test_a_whole_day_collected_twice_changes_nothing(market: Market) -> None:
    market.stop_clock()
    since = datetime.now(UTC) - timedelta(days=1)
    market.collect(since=since)
    before = market.rows()
    again = market.collect(since=since)
    assert again.changes == 0
    assert market.rows() == before


def test_a_new_price_is_found_with_what_it_changes(market: Market) -> None:
    market.collect(first_days=1)
    market.cloud.post(f"/pools/{A}/m5.large/spot/price", price=0.012345)
    found = market.collect()
    assert found.changes == 1
    with market.sessions() as session:
        price = step_at(session, "m5.large", datetime.now(UTC), A)
    assert price is not None
    assert f"{price.usd:f}" == "0.012345"


def test_a_collection_that_breaks_off_leaves_no_hole(market: Market) -> None:
    """Pieces go from old to new: what the second attempt starts from is the last piece that was whole."""
    market.stop_clock()
    market.faults(action="DescribeSpotPriceHistory", kind="fail", code="UnauthorizedOperation", nth=4)
    with pytest.raises(ApplicationError):
        market.collect(first_days=10)
    whole = market.collect(first_days=10)
    assert whole.observed > 0
    kept = market.rows()
    market.collect(since=datetime.now(UTC) - timedelta(days=10))
    assert market.rows()[0] == kept[0]


def test_a_collection_of_a_time_asked_for_does_not_hide_what_lies_before(market: Market) -> None:
    now = datetime.now(UTC)
    market.collect(since=now - timedelta(hours=3))
    with market.sessions.begin() as session:
        assert incoming_prices.collected_until(session, SPOT) is None
        incoming_prices.mark_collected(session, SPOT, now - timedelta(days=4))
    market.collect(since=now - timedelta(hours=3))
    with market.sessions() as session:
        assert incoming_prices.collected_until(session, SPOT) == now - timedelta(days=4)
    assert market.collect().observed > 100, "four days of it"
    with market.sessions() as session:
        assert (incoming_prices.collected_until(session, SPOT) or now) > now


@pytest.mark.parametrize(
    ("fault", "kind", "final"),
    [
        ({"kind": "throttle", "times": 9}, "Throttled", False),
        ({"kind": "fail", "code": "InternalError", "times": 9}, "Unavailable", False),
        ({"kind": "fail", "code": "UnauthorizedOperation"}, "PermissionMissing", True),
    ],
)
def test_what_aws_refuses_fails_in_our_words(market: Market, fault: dict[str, Any], kind: str, final: bool) -> None:
    market.faults(action="DescribeSpotPriceHistory", **fault)
    with pytest.raises(ApplicationError) as caught:
        market.collect(first_days=1)
    assert (caught.value.type, caught.value.non_retryable) == (kind, final)
    assert "spot price history" in str(caught.value)


def test_another_platforms_prices_are_refused(market: Market) -> None:
    with pytest.raises(ApplicationError, match="Windows") as caught:
        market.collect(products=["Linux/UNIX", "Windows"])
    assert (caught.value.type, caught.value.non_retryable) == ("Refused", True)


def test_a_database_that_is_away_is_worth_another_try(clean: Cloud) -> None:
    engine = make_engine("mysql+pymysql://nobody@127.0.0.1:1/none")
    sessions = make_session_factory(engine)
    named = market_activities(Clients(), sessions, engine)
    for one, given in zip(
        named, (contract.CollectSpotInput(REGION), contract.CollectOnDemandInput(REGION)), strict=False
    ):
        with pytest.raises(ApplicationError) as caught:
            ActivityEnvironment().run(one, given)
        assert (caught.value.type, caught.value.non_retryable) == ("Unavailable", False)


def test_on_demand_prices_are_asked_for_once_a_day_and_then_held_against_spot(market: Market) -> None:
    market.collect(first_days=1)
    priced = market.run(contract.COLLECT_ON_DEMAND, contract.CollectOnDemandInput(REGION))
    assert priced.asked == priced.priced == priced.calls.count("GetProducts") > 10
    assert market.run(contract.COLLECT_ON_DEMAND, contract.CollectOnDemandInput(REGION)).asked == 0
    with market.sessions() as session:
        known = on_demand.on_demand_prices(session, REGION, datetime.now(UTC))
    assert f"{known['m5.large']:f}" == "0.096000"

    market.cloud.post(f"/pools/{A}/m5.large/spot/price", price=0.97)
    assert market.collect().set_aside == 1
    with market.sessions() as session:
        (strange,) = set_aside_since(session, datetime.now(UTC) - timedelta(hours=1))
    assert (strange.zone, strange.instance_type, strange.price, strange.reason) == (
        A,
        "m5.large",
        "0.970000",
        "too_high",
    )


def test_placement_scores_are_kept(market: Market) -> None:
    types = ["m5.large", "c5.large", "r5.large"]
    given = contract.CollectScoresInput(REGION, [types, ["m5.large"]])
    assert market.run(contract.COLLECT_SCORES, given).scores == 3, "EC2 scores three types or more"
    with market.sessions() as session:
        key = scores_and_bands.types_key(types)
        found = session.scalars(select(PlacementScore.zone).where(PlacementScore.types_key == key)).all()
    assert A in found


def test_scores_are_asked_for_by_what_the_regions_servers_may_run_on(market: Market) -> None:
    assert market.run(contract.COLLECT_SCORES, contract.CollectScoresInput(REGION)).scores == 0, "nobody runs there"
    _server(market, "m5.large")
    assert market.run(contract.COLLECT_SCORES, contract.CollectScoresInput(REGION)).scores > 0
    with market.sessions() as session:
        now = datetime.now(UTC)
        found = scores_and_bands.scores_of_types(session, REGION, now - timedelta(hours=1), now)
    assert (A, "m5.large") in found
    assert all(1 <= one.score <= 10 for one in found.values())


def _server(market: Market, kind: str) -> None:
    now = datetime.now(UTC)
    with market.sessions.begin() as session:
        session.add(
            Server(
                id="srv-1", client_id="cli-1", name="orders", region=REGION, handoff="stateless", policy={},
                created_at=now, updated_at=now,
            )
        )  # fmt: skip
        session.add(
            Instance(
                id="i-1", server_id="srv-1", client_id="cli-1", state="running_primary", role="primary",
                pool=f"{A}/{kind}/on-demand", region=REGION, zone=A, instance_type=kind, created_at=now, updated_at=now,
            )
        )  # fmt: skip


def test_tiers_are_thinned_by_an_activity(market: Market) -> None:
    market.collect(first_days=3)
    thinned = market.run(contract.THIN_OUT, contract.ThinOutInput(consolidated=1.0, canonical=1.0))
    assert thinned.consolidated > 0
    assert thinned.canonical > 0
    assert market.run(contract.THIN_OUT, contract.ThinOutInput()) == contract.ThinOutResult()
    assert market.collect(since=datetime.now(UTC) - timedelta(days=3)).set_aside > 0, "too old to mend anything"


async def test_a_schedule_collects_and_is_made_once(market: Market, temporal_server: str) -> None:
    client = await Client.connect(temporal_server)
    region = f"{REGION}-{uuid.uuid4().hex[:6]}"  # a schedule of the test's own; what it asks for is the lab's region
    for _ in range(2):
        for regular in market_schedules([region], timedelta(minutes=7)):
            await ensure_schedule(client, regular)
    made = [one async for one in await client.list_schedules() if one.id.endswith(region)]
    described = await client.get_schedule_handle(f"market/spot/{region}").describe()
    assert len(made) == 3
    assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert described.schedule.spec.jitter == timedelta(minutes=1)
    assert described.schedule.spec.intervals[0].every == timedelta(minutes=7)

    with ThreadPoolExecutor(4) as threads:
        queue = f"market-{uuid.uuid4().hex[:6]}"
        activities: list[Any] = list(market.activities.values())
        worker = Worker(client, task_queue=CONTROL_QUEUE, activities=activities, activity_executor=threads)
        async with worker, Worker(client, task_queue=queue, workflows=MARKET_WORKFLOWS):
            found = await client.execute_workflow(
                contract.COLLECT_SPOT_WORKFLOW,
                contract.CollectSpotInput(REGION, first_days=1),
                id=f"collect-{queue}",
                task_queue=queue,
                result_type=contract.CollectSpotResult,
            )
            thinned = await client.execute_workflow(
                contract.THIN_OUT_WORKFLOW,
                contract.ThinOutInput(),
                id=f"thin-{queue}",
                task_queue=queue,
                result_type=contract.ThinOutResult,
            )
    assert found.observed > 0
    assert thinned == contract.ThinOutResult()
    for one in made:
        await client.get_schedule_handle(one.id).delete()
