"""What the autopilot's decisions are made on: pools, prices, what happened in a pool, and what a move costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.engine.session import in_transaction
from db.market.incoming_prices import mark_collected, store_spot_prices
from db.market.pool_facts import append_pool_facts
from db.tables import Server
from domain.autopilot import contract
from domain.autopilot.move_cost import SNAPSHOT_USD_PER_GIB_H
from domain.autopilot.policy import AutopilotPreferences
from domain.ec2 import SURVEY, SurveyInput, SurveyResult
from domain.market.contract import spot_collection
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from domain.market.pool_reliability import PoolFact, PoolFactKind
from domain.planning import compose_plan
from domain.pools import Pool
from domain.servers import Handoff
from tests.database_schemas import unique
from tests.integration.autopilot_site import ON, PROPOSE, Site, running_instances, site
from tests.integration.lab_cloud import REGION, A, clean, cloud

__all__ = ["clean", "cloud", "running_instances", "site"]  # fixtures
pytest_plugins = ["tests.database_fixtures"]


def test_only_pools_the_server_can_run_in_are_looked_at(site: Site) -> None:
    narrow = site.server(ON, instance_types=["m5.large"], zones=[A])
    [ask] = site.run_pass().asks
    assert ask.pool == f"{A}/m5.large/spot"
    [decision] = site.decisions(narrow)
    assert [one["pool"] for one in decision.figures["candidates"]] == [ask.pool]


def test_a_price_comes_from_the_records_and_from_ec2_only_where_they_have_none(site: Site) -> None:
    server, now, pool = site.server(ON, instance_types=["m5.large"]), datetime.now(UTC), f"{A}/m5.large/spot"
    with site.sessions.begin() as session:
        store_spot_prices(
            session, [ReportedPrice(REGION, A, "m5.large", now, "0.000123")], PriceSource.EC2, PriceBounds(now), now
        )
        mark_collected(session, spot_collection(REGION), now)
    site.cloud.post("/faults", action="DescribeSpotPriceHistory", kind="fail", code="UnauthorizedOperation", times=10)
    [ask] = site.run_pass().asks
    assert ask.pool == pool
    assert site.decisions(server)[0].figures["cost_then_usd_per_h"] < 0.01


def test_a_price_of_a_clock_ahead_of_ours_does_not_stop_the_pass(site: Site) -> None:
    server, now = site.server(ON, instance_types=["m5.large"]), datetime.now(UTC)
    ahead = ReportedPrice(REGION, A, "m5.large", now + timedelta(seconds=50), "0.000123")
    in_transaction(site.sessions, lambda s: store_spot_prices(s, [ahead], PriceSource.EC2, PriceBounds(now), now))
    assert [one.server_id for one in site.run_pass().asks] == [server], "the region is not collected, so EC2 was asked"


def test_what_was_lived_through_in_a_pool_sends_servers_elsewhere(site: Site) -> None:
    first = site.server(ON, instance_types=["m5.large"])
    [ask] = site.run_pass().asks
    losses = [
        PoolFact(unique("f"), REGION, Pool.parse(ask.pool), PoolFactKind.LOST, datetime.now(UTC) - timedelta(hours=h))
        for h in (2, 4, 6)
    ]
    in_transaction(site.sessions, lambda s: append_pool_facts(s, losses))
    assert "the facts have changed" in site.reconsider(ask.decision_id).why, "the same facts, by the same path"
    site.change(update(Server).where(Server.id == first).values(state="ended"))
    second = site.server(ON, instance_types=["m5.large"])
    site.run_pass()
    [decision] = site.decisions(second)
    assert decision.to_pool != ask.pool
    shown = {one["pool"]: one for one in decision.figures["candidates"]}
    assert shown[ask.pool]["own_history"]
    assert shown[ask.pool]["losses"] > 2


def test_a_move_is_reckoned_with_the_outage_of_its_handoff(site: Site) -> None:
    """An hour of outage costs 36 USD: a second of it a cent."""
    wish = AutopilotPreferences(outage_usd_per_hour=36.0)
    cost: dict[Handoff, float] = {}
    for handoff in Handoff:
        denied = [A] if handoff is Handoff.SNAPSHOT else []
        server = site.server(wish, handoff, denied_zones=denied)
        found: contract.PreviewResult = site.run(site.autopilot.preview, contract.PreviewInput(server))
        cost[handoff] = found.figures["move_outage_usd"]
    assert cost[Handoff.STATELESS] == 0.0
    assert 0.0 < cost[Handoff.VOLUMES] < cost[Handoff.SNAPSHOT] == pytest.approx(0.745)


def parts(figures: dict[str, Any]) -> list[float]:
    return [figures[f"move_{part}_usd"] for part in ("overlap", "snapshot", "outage")]


def test_a_move_to_another_zone_is_reckoned_with_the_snapshots_of_its_volumes(site: Site) -> None:
    """Of 10 GiB of data; the root volume is not copied. Within the zone the volume itself moves."""
    away, home = (site.server(ON, Handoff.SNAPSHOT, **{which: [A]}) for which in ("denied_zones", "zones"))
    site.run_pass()
    [far], [near] = site.decisions(away), site.decisions(home)
    overlap, snapshot, outage = parts(far.figures)
    assert far.figures["move_usd"] == pytest.approx(overlap + snapshot + outage, abs=2e-6)
    assert snapshot == pytest.approx(10 * SNAPSHOT_USD_PER_GIB_H * (0.5 + 72), abs=1e-6)
    assert far.figures["payback_h"] == pytest.approx(far.figures["move_usd"] / far.figures["gain_usd_per_h"], rel=1e-3)
    assert parts(near.figures)[1] == 0.0
    assert near.figures["left_out"] is far.figures["left_out"] is None


def test_sizes_are_read_once_for_all_servers_whose_volumes_may_be_copied(site: Site) -> None:
    for handoff in (*[Handoff.SNAPSHOT] * 3, Handoff.VOLUMES, Handoff.STATELESS):
        site.server(ON, handoff)
    before = len(site.cloud.calls("DescribeVolumes"))
    for _ in range(3):
        site.run_pass()
    [asked] = site.cloud.calls("DescribeVolumes")[before:]
    assert sum(name.startswith("Filters.1.Values.") for name in asked["params"]) == 3


def test_sizes_that_cannot_be_read_stop_nobody_and_the_decision_says_so(site: Site) -> None:
    site.cloud.post("/faults", action="DescribeVolumes", kind="fail", code="UnauthorizedOperation", times=10)
    server = site.server(ON, Handoff.SNAPSHOT, denied_zones=[A])
    [ask] = site.run_pass().asks
    [decision] = site.decisions(server)
    assert (ask.server_id, decision.reason) == (server, "cheaper")
    overlap, snapshot, outage = parts(decision.figures)
    assert snapshot == 0.0
    assert overlap > 0.0
    assert outage > 0.0
    assert decision.figures["left_out"].startswith("the snapshots of a move: ")
    assert "ec2:DescribeVolumes is denied" in decision.figures["left_out"]


@pytest.mark.parametrize("which", ["zones", "denied_zones"])
def test_the_plan_of_a_decision_has_the_same_cost_to_the_last_part(site: Site, which: str) -> None:
    wish = replace(PROPOSE, keep_old_s=600.0)
    server = site.server(wish, Handoff.SNAPSHOT, **{which: [A]})
    [proposal] = site.run_pass().proposals
    given, [decision] = proposal.plan, site.decisions(server)
    assert given.terms is not None
    survey = SurveyInput(REGION, given.primary.instance_id, given.policy, given.pool, home_type=given.terms.home_type)
    seen: SurveyResult = site.cloud.run(SURVEY, survey)
    plan = compose_plan(seen.blueprint, given.policy, seen.candidates, [], seen.hourly_now, given.terms, seen.home_usd)
    assert plan.move is not None
    assert str(plan.candidates[0].pool) == decision.to_pool
    told = [plan.move.overlap_usd, plan.move.snapshot_usd, plan.move.outage_usd]
    assert parts(decision.figures) == pytest.approx(told, abs=1e-6)


def test_denied_types_and_zones_are_not_candidates(site: Site) -> None:
    server = site.server(ON, denied_types=["c5", "m5.large"], denied_zones=[A])
    found: contract.PreviewResult = site.run(site.autopilot.preview, contract.PreviewInput(server, candidates=100))
    pools = [one["pool"] for one in found.figures["candidates"]]
    assert pools
    assert not [pool for pool in pools if pool.startswith(f"{A}/") or "/c5." in pool or "/m5.large/" in pool]
