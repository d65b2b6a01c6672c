"""From what we lived through and what AWS says to the risk that the policy reckons with."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.autopilot.appraisal import hazard
from domain.autopilot.pool_records import PriceRecord, first_observation, with_observation, without_observation
from domain.autopilot.pool_supply import (
    CLOSED_WHY,
    PoolKnowledge,
    Supply,
    hazard_of_band,
    hours,
    prior_of,
    supply_of,
    warning,
)
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.market.placement_scores import PoolScore, latest_scores, types_asked_together
from domain.market.pool_reliability import CLOSED_H, InstanceStay, PoolFact, PoolFactKind, pool_reliability
from domain.pools import Pool
from domain.ranking import TypeFacts

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
AT_H = hours(NOW)
POOL = "us-east-1a/m5.large/spot"
OTHER = "us-east-1b/m5.large/spot"
PRIOR = hazard_of_band(0)


def fact(kind: PoolFactKind, ago_h: float) -> PoolFact:
    return PoolFact(f"{kind.value}-{ago_h}", "us-east-1", Pool.parse(POOL), kind, NOW - timedelta(hours=ago_h))


def stay(from_ago_h: float, until_ago_h: float = 0.0) -> InstanceStay:
    return InstanceStay(AT_H - from_ago_h, AT_H - until_ago_h)


def supply(known: PoolKnowledge, *pools: str) -> Supply:
    prices = {(pool.split("/")[0], pool.split("/")[1]): PriceRecord(AT_H, 0.03) for pool in pools or (POOL, OTHER)}
    return supply_of(prices, known, NOW)


def risk(found: Supply, pool: str = POOL) -> float:
    return hazard(found.offers[pool], DEFAULT_TUNING)


# --- what we lived through


def test_a_pool_that_nobody_was_in_is_as_its_band_says() -> None:
    record = pool_reliability([], [], PRIOR, AT_H)
    assert record == first_observation(AT_H, True, PRIOR, DEFAULT_TUNING.shape)


def test_a_loss_outweighs_the_band_and_fades() -> None:
    lost = pool_reliability([fact(PoolFactKind.LOST, 2.0)], [stay(50, 2)], PRIOR, AT_H)
    long_ago = pool_reliability([fact(PoolFactKind.LOST, 400.0)], [stay(450, 400)], PRIOR, AT_H)
    calm = pool_reliability([], [stay(50)], PRIOR, AT_H)
    assert lost.losses == pytest.approx(1, abs=0.02)
    assert lost.up_h == pytest.approx(2.0 - CLOSED_H)
    assert lost.up_h < long_ago.up_h < calm.up_h


def test_a_pool_is_closed_for_a_while_after_a_loss_or_until_a_launch_succeeds() -> None:
    just_now = [fact(PoolFactKind.NO_CAPACITY, 0.2)]
    assert not pool_reliability(just_now, [], PRIOR, AT_H).up
    assert pool_reliability([*just_now, fact(PoolFactKind.LAUNCHED, 0.1)], [], PRIOR, AT_H).up
    assert pool_reliability([fact(PoolFactKind.NO_CAPACITY, CLOSED_H + 0.1)], [], PRIOR, AT_H).up


def test_a_notice_and_the_end_that_it_announced_are_one_loss() -> None:
    both = [fact(PoolFactKind.NOTICE, 3.0), fact(PoolFactKind.LOST, 3.0 - 2 / 60)]
    assert pool_reliability(both, [stay(20, 3)], PRIOR, AT_H).losses == pytest.approx(1, abs=0.02)


def test_time_in_which_nobody_was_there_is_no_evidence() -> None:
    loss = [fact(PoolFactKind.LOST, 100.0)]
    there = pool_reliability(loss, [stay(99)], PRIOR, AT_H)
    away = pool_reliability(loss, [], PRIOR, AT_H)
    assert there.expected > away.expected
    assert there.factor(4.0) < away.factor(4.0), "who stayed and lost nothing has seen that it holds"


def test_a_rebalance_recommendation_is_no_loss() -> None:
    assert pool_reliability([fact(PoolFactKind.REBALANCE, 1.0)], [stay(10)], PRIOR, AT_H).losses == 0


facts_st = st.lists(
    st.tuples(st.sampled_from(PoolFactKind), st.floats(0.0, 600.0)).map(lambda one: fact(*one)), max_size=12
)
stays_st = st.lists(
    st.tuples(st.floats(0.0, 600.0), st.floats(0.0, 600.0)).map(lambda two: stay(max(two), min(two))), max_size=5
)


@given(facts_st, stays_st, st.integers())
def test_the_record_does_not_depend_on_the_order_in_which_facts_came(
    facts: list[PoolFact], stays: list[InstanceStay], seed: int
) -> None:
    shuffled, again = list(facts), list(stays)
    random.Random(seed).shuffle(shuffled)
    random.Random(seed).shuffle(again)
    assert pool_reliability(facts, stays, PRIOR, AT_H) == pool_reliability(shuffled, again, PRIOR, AT_H)


@given(facts_st, stays_st, facts_st)
def test_what_happens_later_changes_no_earlier_record(
    facts: list[PoolFact], stays: list[InstanceStay], later: list[PoolFact]
) -> None:
    moved = [PoolFact(f"later-{n}", one.region, one.pool, one.kind, NOW + (NOW - one.at) + timedelta(seconds=1))
             for n, one in enumerate(later)]  # fmt: skip
    record = pool_reliability(facts, stays, PRIOR, AT_H)
    assert pool_reliability([*facts, *moved], [*stays, InstanceStay(AT_H + 1, AT_H + 2)], PRIOR, AT_H) == record
    assert record.at_h == AT_H
    assert math.isfinite(hazard(supply(PoolKnowledge(histories={POOL: record})).offers[POOL], DEFAULT_TUNING))


def test_unwatched_time_fades_what_was_learnt_and_adds_nothing() -> None:
    record = with_observation(with_observation(first_observation(0.0, True), 10.0, False), 11.0, True)
    after = without_observation(record, 200.0)
    assert after.losses < record.losses
    assert after.expected < record.expected
    assert after.availability == pytest.approx(record.availability)
    with pytest.raises(ValueError, match="sort by time"):
        without_observation(record, 10.0)


# --- offers


def test_a_pool_that_was_just_lost_is_blocked_and_young_but_not_lost_for_who_still_runs_there() -> None:
    lost = pool_reliability([fact(PoolFactKind.NOTICE, 0.1)], [stay(30)], PRIOR, AT_H)
    found = supply(PoolKnowledge(histories={POOL: lost}))
    offer = found.offers[POOL]
    assert offer.blocked == CLOSED_WHY
    assert offer.reliability.up
    assert found.down == {POOL}
    assert risk(found) > 10 * risk(supply(PoolKnowledge()))


def test_a_loss_in_one_pool_makes_the_region_tight_for_all_others() -> None:
    steady = pool_reliability([], [stay(100)], PRIOR, AT_H)
    lost = pool_reliability([fact(PoolFactKind.NO_CAPACITY, 0.1)], [stay(100)], PRIOR, AT_H)
    calm = supply(PoolKnowledge(histories={POOL: steady}))
    tight = supply(PoolKnowledge(histories={POOL: lost}))
    assert risk(tight, OTHER) > risk(calm, OTHER)


def test_low_and_falling_scores_and_rebalance_recommendations_raise_the_risk_and_block_nothing() -> None:
    calm = supply(PoolKnowledge())
    low = supply(PoolKnowledge(scores={("us-east-1a", "m5.large"): PoolScore(2)}))
    fallen = supply(PoolKnowledge(scores={("us-east-1a", "m5.large"): PoolScore(2, fallen=5)}))
    warned = supply(PoolKnowledge(rebalanced={POOL: 0.5}))
    assert risk(calm) < risk(low) < risk(fallen)
    assert risk(calm) < risk(warned)
    assert {one.offers[POOL].blocked for one in (low, fallen, warned)} == {""}
    assert warning(PoolScore(10), None) == 0
    assert warning(None, 1.0) > warning(None, 5.0)


def test_the_band_is_where_the_risk_begins() -> None:
    risks = [risk(supply(PoolKnowledge(bands={"m5.large": band}))) for band in range(5)]
    assert risks == pytest.approx([hazard_of_band(band) for band in range(5)], rel=1e-3)
    assert prior_of(None) == hazard_of_band(2)


# --- placement scores


def test_a_kind_of_server_is_asked_for_with_the_types_of_its_size() -> None:
    types = {name: TypeFacts(name, ("x86_64",), ("hvm",), 2, 8192 + n) for n, name in enumerate("abcdefghijklm")}
    group = types_asked_together(types["m"], types)
    assert len(group) == 10
    assert "m" in group
    assert types_asked_together(types["a"], {name: types[name] for name in "ab"}) == [], "EC2 wants three types"


def test_a_pool_has_its_latest_score_and_how_far_that_has_fallen() -> None:
    told = [(["a", "b", "c"], "z1", 9), (["a", "b", "c"], "z1", 4), (["c", "d", "e"], "z1", 7), (["a"], "z2", 3)]
    found = latest_scores(told)
    assert found["z1", "a"] == PoolScore(4, 5)
    assert found["z1", "c"] == PoolScore(4, 5), "the lower of two sets"
    assert found["z1", "d"] == PoolScore(7)
    assert found["z2", "a"] == PoolScore(3)
