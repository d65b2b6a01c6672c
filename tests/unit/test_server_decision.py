"""The decision policy: what it decides on, and that it is a function of that alone."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.autopilot.appraisal import Appraisal, appraise_rated, caution, hazard, rate_offers
from domain.autopilot.decision import Decision, DecisionKind, DecisionReason
from domain.autopilot.decision_inputs import Needs, Offer, ServerPosition
from domain.autopilot.experience import Experience, learn
from domain.autopilot.move_cost import MoveProfile
from domain.autopilot.pool_records import (
    SHAPE,
    HazardShape,
    OutOfOrder,
    PriceRecord,
    Reliability,
    first_observation,
    tightness,
    with_observation,
    with_price,
)
from domain.autopilot.server_decision import decide_server
from domain.autopilot.tuning import DEFAULT_TUNING

ON_DEMAND, A, B = "us-east-1a/m5.large/on-demand", "us-east-1a/m5.large/spot", "us-east-1b/m5.large/spot"
NEEDS = Needs(on_demand_pool=ON_DEMAND, on_demand_usd=1.0, outage_usd_per_h=10.0)
NO_OUTAGE = replace(NEEDS, outage_usd_per_h=0.0, on_demand_usd=math.inf)


def moving(needs: Needs, overlap_h: float = 0.2, outage_h: float = 0.0) -> Needs:
    """The same, with every move alike."""
    move_profile = MoveProfile(overlap_h, outage_h)
    return replace(needs, within=move_profile, beyond=move_profile)


def offer(pool: str = A, *, up_h: float = 200.0, usd: float = 0.3, up: bool = True, blocked: str = "") -> Offer:
    """A pool that came up so long ago, seen at hour 0 ever since."""
    record = Reliability(at_h=0.0, up=up, since_h=-up_h, up_share=1.0, seen_share=1.0)
    return Offer(pool, PriceRecord(0.0, usd), record, blocked=blocked)


def market(*offers: Offer, needs: Needs = NEEDS) -> Appraisal:
    return appraise_rated(rate_offers(offers, DEFAULT_TUNING), needs, 0.0, caution(DEFAULT_TUNING))


def decided(pool: str, appraisal: Appraisal, *, since_h: float = -100.0) -> Decision:
    return decide_server(ServerPosition(pool, since_h), appraisal, DEFAULT_TUNING)


# --- entering spot


def test_a_pool_long_up_is_entered_from_on_demand() -> None:
    decision = decided(ON_DEMAND, market(offer()))
    assert (decision.kind, decision.pool, decision.reason) == (DecisionKind.MOVE, A, DecisionReason.CHEAPER)
    assert decision.move.usd == pytest.approx(0.2)
    assert decision.payback_h == pytest.approx(0.2 / decision.gain_usd)


def test_a_pool_that_has_just_come_up_is_waited_for() -> None:
    decision = decided(ON_DEMAND, market(offer(up_h=0.1)))
    assert (decision.kind, decision.reason) == (DecisionKind.WAIT, DecisionReason.SPOT_TOO_RISKY)


@given(st.floats(0.0, 1000.0), st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_who_suffers_more_from_an_outage_never_enters_earlier(up_h: float, cost: float, more: float) -> None:
    def enters(usd: float) -> bool:
        appraisal = market(offer(up_h=up_h), needs=replace(NEEDS, outage_usd_per_h=usd))
        return decided(ON_DEMAND, appraisal).kind is DecisionKind.MOVE

    assert enters(cost) or not enters(cost + more)


def test_a_blocked_pool_is_never_entered_and_no_pool_is_none() -> None:
    decision = decided(ON_DEMAND, market(offer(blocked="cool-down")))
    assert (decision.kind, decision.reason) == (DecisionKind.WAIT, DecisionReason.NO_SPOT)


def test_a_gain_that_is_nothing_against_on_demand_is_not_worth_a_move() -> None:
    needs = moving(replace(NEEDS, outage_usd_per_h=0.0), overlap_h=10.0)
    decision = decided(ON_DEMAND, market(offer(usd=0.998), needs=needs))
    assert decision.kind is DecisionKind.WAIT


# --- after a loss


def test_a_lost_server_goes_where_it_is_cheapest_with_its_risk() -> None:
    decision = decided(A, market(offer(up=False), offer(B)))
    assert (decision.kind, decision.pool, decision.reason) == (DecisionKind.MOVE, B, DecisionReason.LOST)


def test_a_lost_server_goes_to_on_demand_when_spot_is_too_risky_or_there_is_none() -> None:
    risky = decided(A, market(offer(up=False), offer(B, up_h=0.0)))
    assert (risky.kind, risky.pool, risky.reason) == (DecisionKind.ON_DEMAND, ON_DEMAND, DecisionReason.SPOT_TOO_RISKY)
    assert decided(A, market(offer(up=False))).reason is DecisionReason.NO_SPOT


def test_a_lost_server_waits_when_there_is_nothing_at_all() -> None:
    needs = replace(NEEDS, on_demand_usd=math.inf)
    assert decided(A, market(offer(up=False), needs=needs)).kind is DecisionKind.WAIT


# --- from pool to pool


def test_a_much_cheaper_pool_is_worth_the_move_and_a_little_cheaper_one_is_not() -> None:
    cheaper = decided(A, market(offer(usd=0.3), offer(B, usd=0.2), needs=NO_OUTAGE))
    assert (cheaper.kind, cheaper.pool) == (DecisionKind.MOVE, B)
    alike = decided(A, market(offer(usd=0.3), offer(B, usd=0.299), needs=NO_OUTAGE))
    assert (alike.kind, alike.reason) == (DecisionKind.STAY, DecisionReason.GAIN_TOO_SMALL)


def test_where_prices_change_a_lot_a_gain_has_to_be_larger() -> None:
    restless = PriceRecord(0.0, 0.29, changes=100.0, moved=10.0)
    appraisal = market(offer(usd=0.3), replace(offer(B), price=restless), needs=NO_OUTAGE)
    assert decided(A, appraisal).reason is DecisionReason.GAIN_TOO_SMALL
    calm = market(offer(usd=0.3), offer(B, usd=0.29), needs=moving(NO_OUTAGE, overlap_h=0.0))
    assert decided(A, calm).kind is DecisionKind.MOVE


def test_a_server_keeps_its_minimum_stay() -> None:
    appraisal = market(offer(usd=0.3), offer(B, usd=0.1), needs=replace(NO_OUTAGE, minimum_stay_h=5.0))
    assert decided(A, appraisal, since_h=-4.0).reason is DecisionReason.MINIMUM_STAY
    assert decided(A, appraisal, since_h=-5.0).kind is DecisionKind.MOVE


def test_no_move_is_made_for_a_gain_that_the_stay_does_not_pay_back() -> None:
    appraisal = market(offer(usd=0.3), offer(B, usd=0.28), needs=moving(NO_OUTAGE, overlap_h=40.0))
    assert decided(A, appraisal).reason is DecisionReason.NOT_PAID_BACK


def test_the_outage_of_a_planned_move_is_part_of_its_cost() -> None:
    pools, needs = (offer(usd=0.3), offer(B, usd=0.28)), replace(NO_OUTAGE, outage_usd_per_h=1.0)
    assert decided(A, market(*pools, needs=needs)).kind is DecisionKind.MOVE
    held = decided(A, market(*pools, needs=moving(needs, outage_h=5.0)))
    assert held.reason is DecisionReason.NOT_PAID_BACK
    assert held.move.usd == pytest.approx(5.0 + 0.2 * 0.3)
    leaving = moving(replace(NEEDS, outage_usd_per_h=1.0), outage_h=5.0)
    back = decided(ON_DEMAND, market(offer(usd=0.9), needs=leaving))
    assert back.reason is DecisionReason.NOT_PAID_BACK
    assert back.move.usd == pytest.approx(5.0 + 0.2)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(0.0, 500.0), st.floats(0.0, 500.0), st.floats(0.0, 50.0))
def test_a_move_is_never_undone_on_the_same_facts(usd: float, other: float, up: float, up_b: float, out: float) -> None:
    appraisal = market(
        offer(usd=usd, up_h=up), offer(B, usd=other, up_h=up_b), needs=replace(NEEDS, outage_usd_per_h=out)
    )
    for start in (A, B, ON_DEMAND):
        first = decided(start, appraisal)
        if first.kind in (DecisionKind.MOVE, DecisionKind.ON_DEMAND):
            assert decided(first.pool, appraisal).kind in (DecisionKind.STAY, DecisionKind.WAIT)


@given(st.floats(0.01, 2.0), st.floats(0.0, 500.0), st.booleans(), st.sampled_from([A, B, ON_DEMAND]))
def test_a_decision_is_a_function_of_its_facts(usd: float, up_h: float, up: bool, where: str) -> None:
    def once(*offers: Offer) -> Decision:
        return decided(where, market(*offers))

    some, other = offer(usd=usd, up_h=up_h, up=up), offer(B)
    assert once(some, other) == once(some, other) == once(other, some)


# --- caution that is learnt


def test_caution_grows_where_more_is_lost_than_foreseen_and_fades_where_less_is() -> None:
    blank = Experience(0.0).caution(DEFAULT_TUNING)
    assert _caution(up_h=1.0, down_h=0.2) > blank
    assert _caution(up_h=500.0, down_h=0.2) < blank


def test_a_pool_that_is_not_looked_at_any_more_is_no_loss() -> None:
    before = learn(Experience(0.0), rate_offers([offer()], DEFAULT_TUNING), NEEDS, 0.0, DEFAULT_TUNING)
    assert before.held
    assert learn(before, [], NEEDS, 1.0, DEFAULT_TUNING).losses == 0.0


def _caution(up_h: float, down_h: float) -> float:
    """Up and down by turns for ten days, seen every six minutes, by who foresees by a pool's age alone."""
    tuning = replace(DEFAULT_TUNING, own=0.0, absence=0.0)
    record, experience = first_observation(0.0, True), Experience(0.0)
    for step in range(1, 2400):
        at_h = step / 10
        record = with_observation(record, at_h, at_h % (up_h + down_h) < up_h)
        rated = rate_offers([Offer(A, PriceRecord(0.0, 0.3), record)], tuning)
        experience = learn(experience, rated, NEEDS, at_h, tuning)
    return experience.caution(tuning)


# --- records


def test_the_hazard_falls_with_age_and_rises_with_losses_absence_and_a_tight_region() -> None:
    young, old = offer(up_h=1.0), offer(up_h=24.0)
    assert hazard(young, DEFAULT_TUNING) > hazard(old, DEFAULT_TUNING)
    assert hazard(replace(old, reliability=replace(old.reliability, losses=5.0)), DEFAULT_TUNING) > hazard(
        old, DEFAULT_TUNING
    )
    assert hazard(replace(old, reliability=replace(old.reliability, up_share=0.2)), DEFAULT_TUNING) > hazard(
        old, DEFAULT_TUNING
    )
    assert hazard(replace(old, tightness=0.5), DEFAULT_TUNING) > hazard(old, DEFAULT_TUNING)


def test_a_prior_hazard_is_what_the_record_begins_with_and_is_forgotten_at_the_first_loss() -> None:
    record = first_observation(0.0, True, prior_hazard_per_h=0.01)
    assert SHAPE.rate(record.up_h) == pytest.approx(0.01)
    lost = with_observation(with_observation(record, 1.0, False), 2.0, True)
    assert lost.up_h == 0.0


@pytest.mark.parametrize("power", [0.7, 0.999999, 1.0, 1.3])
def test_expected_losses_are_the_integral_of_the_hazard_at_every_power(power: float) -> None:
    shape = HazardShape(scale=0.5, offset_h=0.2, power=power)
    width = 1e-3
    summed = sum(shape.rate(1 + width * (step + 0.5)) * width for step in range(2000))
    assert shape.expected(1, 3) == pytest.approx(summed, rel=1e-5)


def test_availability_forgets_in_about_a_day() -> None:
    record = with_observation(with_observation(first_observation(0.0, True), 24.0, False), 48.0, False)
    assert record.availability == pytest.approx(math.exp(-1) * (1 - math.exp(-1)) / (1 - math.exp(-2)))


@given(st.lists(st.booleans(), min_size=2, max_size=40), st.integers(2, 6))
def test_looking_more_often_at_the_same_states_changes_nothing(states: list[bool], parts: int) -> None:
    rare = often = first_observation(0.0, states[0])
    for hour, up in enumerate(states[1:], start=1):
        before = states[hour - 1]
        for part in range(1, parts):
            often = with_observation(often, hour - 1 + part / parts, before)
        rare, often = with_observation(rare, float(hour), up), with_observation(often, float(hour), up)
    assert often.availability == pytest.approx(rare.availability)
    assert (often.up, often.since_h) == (rare.up, rare.since_h)
    assert often.losses == pytest.approx(rare.losses)


def test_a_region_is_tight_when_others_are_down_that_never_were() -> None:
    up, down = offer().reliability, offer(up=False).reliability
    alone, beside, elsewhere = tightness(["r", "r", "s"], [up, down, up])
    assert alone > beside == elsewhere == 0.0


def test_what_comes_late_is_refused() -> None:
    with pytest.raises(OutOfOrder, match="sort them by time"):
        with_observation(first_observation(5.0, True), 4.0, True)
    with pytest.raises(OutOfOrder, match="sort prices by time"):
        with_price(PriceRecord(5.0, 0.3), 4.0, 0.4)


def test_a_repeated_price_is_no_change() -> None:
    record = PriceRecord(0.0, 0.3)
    assert with_price(record, 24.0, 0.3) is record
    changed = with_price(record, 24.0, 0.33)
    assert changed.typical_change(0.0, 0.0) == pytest.approx(0.1)
