"""A backtest on a client's own history: from canonical prices and reliability records to a result that is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.backtests import activity as backtests
from activities.backtests import history_reading
from activities.backtests.activity import BacktestActivities
from activities.backtests.history_reading import read_history
from db.autopilot.backtests import create_backtest
from db.engine.session import SessionFactory, in_transaction
from db.market.incoming_prices import keep_in_batches
from db.market.pool_facts import append_pool_facts
from db.tables import BacktestRow, Event, Instance, ModelRow, Server
from domain.autopilot.move_cost import SNAPSHOT_USD_PER_GIB_H
from domain.autopilot.policy import AutopilotPreferences
from domain.backtest.contract import BacktestEnd, BacktestState, RunBacktestInput
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.pools import Pool
from domain.servers import Handoff, ServerPolicy
from tests.database_schemas import unique
from tests.integration.lab_cloud import REGION, A, B, Cloud, clean, cloud
from tests.onnx_models import FEATURES, model, onnx_bytes, patience_with_models, sha256

__all__ = ["clean", "cloud", "patience_with_models"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]

HOME, SPOT_A, SPOT_B = f"{A}/m5.large/on-demand", f"{A}/m5.large/spot", f"{B}/m5.large/spot"
NOW = datetime.now(UTC).replace(microsecond=0)
SINCE = NOW - timedelta(days=7)


@dataclass
class Site:
    sessions: SessionFactory
    client_id: str
    cloud: Cloud

    def __post_init__(self) -> None:
        self.activities = BacktestActivities(self.sessions, self.cloud.clients)

    def server(self, pool: str = HOME, handoff: Handoff = Handoff.STATELESS, **policy: Any) -> str:
        """With a data volume of 10 GiB, unless it is stateless."""
        bare: dict[str, Any] = {"BlockDeviceMappings": None} if handoff is Handoff.STATELESS else {}
        server_id, instance_id = unique("srv"), self.cloud.original(**bare)
        wanted: dict[str, Any] = {"autopilot": AutopilotPreferences(), "instance_types": ["m5.large"], **policy}
        kept = asdict(ServerPolicy(handoff=handoff, **wanted))
        long_ago = NOW - timedelta(days=60)
        shared: dict[str, Any] = {
            "client_id": self.client_id,
            "region": REGION,
            "created_at": long_ago,
            "updated_at": long_ago,
        }
        with self.sessions.begin() as session:
            session.add(Server(id=server_id, name=server_id, handoff="stateless", policy=kept, **shared))
            session.add(
                Instance(
                    id=instance_id,
                    server_id=server_id,
                    state="running_primary",
                    role="primary",
                    pool=pool,
                    zone=A,
                    instance_type="m5.large",
                    **shared,
                )
            )
        return server_id

    def prices(self, *said: tuple[str, float, float]) -> None:
        """(zone, days ago, USD per hour)."""
        rows = [ReportedPrice(REGION, zone, "m5.large", NOW - timedelta(days=days), usd) for zone, days, usd in said]
        assert all(
            not kept.set_aside for kept in keep_in_batches(self.sessions, rows, PriceSource.FILE, PriceBounds(NOW))
        )

    def asked(self, *servers: str, **values: Any) -> str:
        row = BacktestRow(
            id=unique("bkt"),
            client_id=self.client_id,
            state="queued",
            server_ids=list(servers),
            from_at=values.pop("since", SINCE),
            until_at=values.pop("until", NOW),
            asked=values.pop("policy", {}),
            model_id=values.pop("model_id", ""),
            body_digest="",
            requested_at=NOW,
            requested_by="tok-1",
        )
        in_transaction(self.sessions, lambda session: create_backtest(session, row))
        return row.id

    def run(self, backtest_id: str) -> BacktestRow:
        ActivityEnvironment().run(self.activities.run, RunBacktestInput(backtest_id))
        return self.row(backtest_id)

    def row(self, backtest_id: str) -> BacktestRow:
        with self.sessions() as session:
            return session.get_one(BacktestRow, backtest_id)


@pytest.fixture
def site(sessions: SessionFactory, client_id: str, clean: Cloud) -> Iterator[Site]:
    yield Site(sessions, client_id, clean)
    with sessions.begin() as session:
        session.execute(update(Server).values(state="ended"))
        for table in ("prices_canonical", "prices_consolidated", "price_series", "price_observations", "pool_facts"):
            session.connection().exec_driver_sql(f"DELETE FROM {table}")


def by_policy(row: BacktestRow) -> dict[str, dict[str, Any]]:
    assert row.result
    return {one["policy"]: one for one in row.result["policies"]}


def test_a_weeks_history_says_what_the_policy_would_have_done(site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035), (B, 30.0, 0.045))
    done = site.run(site.asked(server))
    assert (done.state, done.problem) == ("done", "")
    found = by_policy(done)
    assert found["policy"]["moves"] == 1
    assert found["always on-demand"]["money_usd"] == pytest.approx(7 * 24 * 0.096, rel=1e-6)
    assert found["policy"]["money_usd"] == pytest.approx(7 * 24 * 0.035 + 0.1 * 0.096, rel=1e-6)
    assert found["clairvoyant"]["cost_usd"] <= found["policy"]["cost_usd"]
    assert done.result
    assert done.result["servers"][0]["start_pool"] == HOME


def test_what_was_lived_through_is_in_it(site: Site) -> None:
    server = site.server(SPOT_A)
    site.prices((A, 30.0, 0.035), (B, 30.0, 0.045))
    lost = PoolFact(unique("fact"), REGION, Pool.parse(SPOT_A), PoolFactKind.LOST, NOW - timedelta(days=3))
    in_transaction(site.sessions, lambda session: append_pool_facts(session, [lost]))
    found = by_policy(site.run(site.asked(server)))
    assert found["policy"]["interruptions"] == 1
    assert found["policy"]["outage_minutes"] == pytest.approx(10.0)
    assert found["stay put"]["interruptions"] == 1


def test_a_move_to_another_zone_is_billed_with_its_outage_and_the_snapshots_of_its_volumes(site: Site) -> None:
    server = site.server(handoff=Handoff.SNAPSHOT, denied_zones=[A])
    site.prices((A, 30.0, 0.035), (B, 30.0, 0.045))
    found = by_policy(site.run(site.asked(server)))["policy"]
    snapshots = 10 * SNAPSHOT_USD_PER_GIB_H * (0.5 + 72)
    assert (found["moves"], found["interruptions"]) == (1, 0)
    assert found["snapshot_usd"] == pytest.approx(snapshots, abs=1e-6)
    assert found["money_usd"] == pytest.approx(7 * 24 * 0.045 + 0.5 * 0.096 + snapshots, rel=1e-6)
    assert found["move_outage_minutes"] == found["outage_minutes"] == pytest.approx(74.5 / 60, abs=1e-6)
    assert found["cost_usd"] == pytest.approx(found["money_usd"] + 74.5 / 3600 * 10 * 0.096, rel=1e-6)


def test_a_backtest_without_the_sizes_says_what_it_lacks(site: Site) -> None:
    site.cloud.post("/faults", action="DescribeVolumes", kind="fail", code="UnauthorizedOperation", times=10)
    server = site.server(handoff=Handoff.SNAPSHOT, denied_zones=[A])
    site.prices((A, 30.0, 0.035), (B, 30.0, 0.045))
    done = site.run(site.asked(server))
    assert by_policy(done)["policy"]["snapshot_usd"] == 0.0
    assert done.result
    assert done.result["left_out"][server].startswith("the snapshots of a move: ")


def test_another_policy_can_be_asked_for(site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    assert by_policy(site.run(site.asked(server, policy={"frozen": True})))["policy"]["moves"] == 0


def test_a_model_is_replayed_beside_it(site: Site) -> None:
    server, content = site.server(), onnx_bytes(model(0.0001))
    site.prices((A, 30.0, 0.035))
    row = ModelRow(
        id=unique("mdl"),
        name="small",
        sha256=sha256(content),
        size=len(content),
        content=content,
        features=FEATURES,
        report={},
        state="shadow",
        registered_at=NOW,
        registered_by="tok-1",
    )
    with site.sessions.begin() as session:
        session.add(row)
    assert "model" in by_policy(site.run(site.asked(server, model_id=row.id)))


def test_a_time_without_prices_is_no_data(site: Site) -> None:
    server = site.server()
    asked = site.asked(server)
    with pytest.raises(ApplicationError, match="there are no spot prices of us-east-1 from") as caught:
        site.run(asked)
    assert (caught.value.type, caught.value.non_retryable) == ("NoData", True)


def test_anothers_servers_are_none_of_its_business(site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    with site.sessions.begin() as session:
        session.execute(
            update(Server).where(Server.id == server).values(client_id="cli-other", version=Server.version + 1)
        )
    with pytest.raises(ApplicationError, match="none of the servers is active any more"):
        site.run(site.asked(server))


def test_what_has_ended_is_not_run_again_and_its_end_is_told_once(site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    asked = site.asked(server)
    first = site.run(asked)
    again = site.run(asked)
    ActivityEnvironment().run(site.activities.settle, BacktestEnd(asked, BacktestState.CANCELLED))
    assert (again.finished_at, site.row(asked).state) == (first.finished_at, "done")
    with site.sessions() as session:
        told = session.scalars(select(Event.type).where(Event.client_id == site.client_id)).all()
    assert told.count("backtest.done") == 1
    assert "backtest.cancelled" not in told


def test_a_replay_that_takes_too_long_ends(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    monkeypatch.setattr(backtests, "LONGEST_S", 0.01)
    with pytest.raises(ApplicationError, match=r"it took longer than 0\.01 s; ask for fewer servers or days"):
        site.run(site.asked(server))


def test_which_pools_are_kept_does_not_go_by_what_came_later(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035), (A, 1.0, 0.06), (B, 30.0, 0.045), (B, 1.0, 0.02))
    monkeypatch.setattr(history_reading, "MOST_POOLS", 1)
    past = read_history(site.sessions, site.activities._facts, site.row(site.asked(server)))
    assert [kind.pools for region in past.regions for kind in region.kinds] == [[SPOT_A]]


def test_a_most_that_may_be_paid_goes_by_the_prices_of_then(site: Site) -> None:
    server = site.server(max_spot_usd_per_hour=0.04)
    site.prices((A, 30.0, 0.035), (A, 1.0, 0.06), (B, 30.0, 0.045), (B, 1.0, 0.02))
    past = read_history(site.sessions, site.activities._facts, site.row(site.asked(server)))
    assert [kind.pools for region in past.regions for kind in region.kinds] == [[SPOT_A]]


def test_one_that_has_to_wait_for_another_comes_again_and_holds_no_thread(site: Site) -> None:
    server = site.server()
    site.prices((A, 30.0, 0.035))
    asked = site.asked(server)
    assert site.activities._turns.acquire(blocking=False)
    with pytest.raises(ApplicationError, match="another backtest is being replayed") as caught:
        site.run(asked)
    assert (caught.value.type, caught.value.non_retryable) == ("NotYet", False)
    assert site.row(asked).state == "queued"
    site.activities._turns.release()
    assert site.run(asked).state == "done"
