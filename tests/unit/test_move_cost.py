"""What a planned move costs: by part, by where it leads, and the same in a plan as in a decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.adoption import MoveTerms
from domain.autopilot.appraisal import appraise_rated, caution, rate_offers
from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.decision_inputs import Needs, Offer, ServerPosition
from domain.autopilot.move_cost import FREE_MOVE, SNAPSHOTS_KEPT_H, MoveProfile, payback_h
from domain.autopilot.policy import AutopilotPolicy
from domain.autopilot.pool_records import PriceRecord, Reliability
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.blueprint import BlockDevice, Blueprint
from domain.planning import compose_plan, move_profile_to, outage_s
from domain.pools import Candidate, Pool
from domain.savings.accrual import Accrual
from domain.savings.price_periods import RegionPrices
from domain.savings.server_usage import KeptSnapshot, ServerUsage
from domain.servers import Handoff, ServerPolicy

HERE, NEAR, FAR = "us-east-1a/m5.large/spot", "us-east-1a/c5.xlarge/spot", "us-east-1b/m5.large/spot"
ON_DEMAND = "us-east-1a/m5.large/on-demand"
WITHIN, BEYOND = MoveProfile(0.1, 18 / 3600), MoveProfile(0.5, 74.5 / 3600, copies=True)
NEEDS = Needs(ON_DEMAND, 0.1, outage_usd_per_h=1.0, within=WITHIN, beyond=BEYOND)
ROOT = BlockDevice("/dev/xvda", "vol-root", 20, "gp3", root=True)
DATA = [BlockDevice("/dev/sdf", "vol-1", 60, "gp3"), BlockDevice("/dev/sdg", "vol-2", 40, "gp3")]


def blueprint(*volumes: BlockDevice) -> Blueprint:
    return Blueprint(
        instance_id="i-1", state="running", region="us-east-1", account_id="1", pool=HERE, image_id="ami-1",
        architecture="x86_64", virtualization_type="hvm", root_device_type="ebs", root_device_name="/dev/xvda",
        vpc_id="vpc-1", subnet_id="subnet-1", zone="us-east-1a", private_ip="10.0.0.1", public_ip="",
        network_interface_id="eni-1", block_devices=[ROOT, *volumes],
    )  # fmt: skip


def candidate(pool: str) -> Candidate:
    return Candidate(Pool.parse(pool), "subnet-1", 0.03, 0.1, "cheapest")


# --- by part


def test_a_move_costs_the_overlap_its_snapshots_and_its_outage() -> None:
    cost = BEYOND.cost(price_usd=0.04, outage_usd_per_h=3.6, data_gib=100)
    assert cost.overlap_usd == pytest.approx(0.5 * 0.04)
    assert cost.snapshot_usd == pytest.approx(100 * 0.05 / 730 * (0.5 + 72))
    assert cost.outage_usd == pytest.approx(0.0745)
    assert cost.usd == cost.overlap_usd + cost.snapshot_usd + cost.outage_usd
    assert WITHIN.cost(0.04, 3.6, 100).snapshot_usd == 0.0


def test_snapshots_are_priced_as_the_ledger_books_them() -> None:
    """One set while the move lasts, one for as long as its gain is believed."""
    start = datetime(2026, 6, 1, tzinfo=UTC)
    lasting = [timedelta(hours=hours) for hours in (BEYOND.overlap_h, SNAPSHOTS_KEPT_H)]
    ran = ServerUsage("s", "c", "r", "m5.large", (), tuple(KeptSnapshot(100, start, start + one) for one in lasting))
    hours = [
        Accrual(RegionPrices()).amounts(ran, at, at + timedelta(hours=1)) for at in _hours(start, int(SNAPSHOTS_KEPT_H))
    ]
    booked = sum(one.snapshot for one in hours) / 1e6
    assert BEYOND.snapshot_usd(100) == pytest.approx(booked, abs=1e-4)


def _hours(start: datetime, count: int) -> list[datetime]:
    return [start + timedelta(hours=hour) for hour in range(count)]


def test_of_a_price_that_is_not_known_no_overlap_is_reckoned() -> None:
    assert BEYOND.cost(float("inf"), 0.0, 0) == FREE_MOVE


def test_a_move_without_a_gain_is_never_paid_back() -> None:
    assert payback_h(1.0, 0.25) == 4.0
    assert payback_h(1.0, 0.0) == payback_h(1.0, -1.0) == float("inf")


# --- by where it leads


@pytest.mark.parametrize(
    ("volumes", "zone", "handoff", "overlap_h"),
    [
        ([], "us-east-1b", Handoff.STATELESS, 0.1),
        (DATA, "us-east-1a", Handoff.VOLUMES, 0.1),
        (DATA, "us-east-1b", Handoff.SNAPSHOT, 0.5),
    ],
)
def test_what_a_server_carries_and_where_it_goes_say_how(
    volumes: list[BlockDevice], zone: str, handoff: Handoff, overlap_h: float
) -> None:
    move_profile = move_profile_to(blueprint(*volumes), zone, keep_old_s=360.0)
    assert move_profile.overlap_h == pytest.approx(overlap_h + 0.1)
    assert move_profile.outage_h * 3600 == pytest.approx(outage_s(blueprint(*volumes), handoff))
    assert move_profile.copies is (handoff is Handoff.SNAPSHOT)


def decided(*usd: float, data_gib: int = 0, pool: str = HERE, needs: Needs = NEEDS) -> Decision:
    """Prices of HERE, NEAR and FAR: pools that have been up for long."""
    record = Reliability(at_h=0.0, up=True, since_h=-200.0, up_share=1.0, seen_share=1.0)
    offers = [Offer(name, PriceRecord(0.0, one), record) for name, one in zip((HERE, NEAR, FAR), usd, strict=False)]
    return decide_server(
        ServerPosition(pool, -100.0, data_gib=data_gib),
        appraise_rated(rate_offers(offers, DEFAULT_TUNING), needs, 0.0, caution(DEFAULT_TUNING)),
        DEFAULT_TUNING,
    )


def test_a_server_with_little_data_goes_to_another_zone_and_one_with_much_does_not() -> None:
    small, large = (decided(0.06, 0.07, 0.04, data_gib=gib) for gib in (10, 1000))
    assert (small.kind, small.pool) == (DecisionKind.MOVE, FAR)
    assert small.move == BEYOND.cost(0.06, 1.0, 10)
    assert (large.kind, large.reason) == (DecisionKind.STAY, DecisionReason.NOT_PAID_BACK)
    assert large.move.snapshot_usd == pytest.approx(100 * small.move.snapshot_usd)


@pytest.mark.parametrize(("pool", "price"), [(HERE, 0.06), (ON_DEMAND, 0.1)])
def test_a_dearer_pool_of_its_own_zone_is_chosen_where_snapshots_cost_more_than_that(pool: str, price: float) -> None:
    usd = (0.06, 0.045, 0.04)
    assert decided(*usd, data_gib=0, pool=pool, needs=replace(NEEDS, beyond=WITHIN)).pool == FAR
    found = decided(*usd, data_gib=1000, pool=pool)
    assert (found.kind, found.pool) == (DecisionKind.MOVE, NEAR)
    assert found.move == WITHIN.cost(price, 1.0, 1000)


def test_a_pool_of_its_own_zone_that_costs_more_than_where_it_is_is_no_way_out() -> None:
    assert decided(0.06, 0.08, 0.04, data_gib=1000).reason is DecisionReason.NOT_PAID_BACK


# --- in a plan


@pytest.mark.parametrize("pool", [NEAR, FAR])
@pytest.mark.parametrize("volumes", [[], DATA])
def test_a_plan_reckons_as_a_decision_does(volumes: list[BlockDevice], pool: str) -> None:
    old, wish = blueprint(*volumes), AutopilotPolicy(keep_old_s=600.0)
    plan = compose_plan(old, ServerPolicy(), [candidate(pool)], [], 0.04, MoveTerms("m5.large", wish), home_usd=0.1)
    needs = replace(
        NEEDS,
        outage_usd_per_h=wish.outage_usd(0.1),
        within=move_profile_to(old, old.zone, 600.0),
        beyond=move_profile_to(old, "us-east-1b", 600.0),
    )
    assert plan.move == needs.move(ServerPosition(HERE, 0.0, data_gib=old.data_gib), pool, 0.04)


def test_a_plan_without_a_pool_or_without_terms_has_no_cost() -> None:
    terms = MoveTerms("m5.large", AutopilotPolicy())
    assert compose_plan(blueprint(), ServerPolicy(), [], [], 0.04, terms).move is None
    assert compose_plan(blueprint(), ServerPolicy(), [candidate(FAR)], [], 0.04).move is None
