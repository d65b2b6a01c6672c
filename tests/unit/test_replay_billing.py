"""What a way through a market costs, and that the clairvoyant's is the cheapest there is."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.autopilot.move_cost import MoveProfile
from domain.backtest.billing import Bill, bill, by_day, total
from domain.backtest.clairvoyant import Clairvoyant
from domain.backtest.contract import BacktestError
from domain.backtest.market_history import ON_DEMAND, PLANNED_MOVE, USUAL_RULES, MarketHistory, MoveRules, TickWindow
from tests.market_histories import long_market, market, markets

A, B = 0, 1


def paid(of: MarketHistory, *choices: int, came_from: int | None = None) -> Bill:
    return bill(of, TickWindow(0, len(choices)), choices, came_from)


def test_the_first_launch_is_free_and_every_hour_is_paid() -> None:
    found = paid(market([[1], [1], [1]]), A, A, A)
    assert found.money_usd == pytest.approx(0.9)
    assert (found.moves, found.interruptions, found.outage_h) == (0, 0, 0)
    assert (found.hours, found.always_on_demand_usd) == (3.0, 3.0)


def test_a_planned_move_pays_twelve_minutes_of_the_old_pool_and_no_outage() -> None:
    found = paid(market([[1, 1], [1, 1]], [[0.4, 0.1], [0.4, 0.1]]), A, B)
    assert found.money_usd == pytest.approx(0.4 + 0.1 + 0.2 * 0.4)
    assert (found.moves, found.outage_h) == (1, 0)


def test_a_move_that_leaves_on_demand_pays_the_overlap_at_its_price() -> None:
    assert paid(market([[1], [1]]), ON_DEMAND, A).money_usd == pytest.approx(1.0 + 0.3 + 0.2 * 1.0)


def test_a_lost_pool_is_ten_minutes_of_outage_and_no_overlap() -> None:
    found = paid(market([[1, 1], [0, 1]]), A, B)
    assert (found.interruptions, found.moves) == (1, 0)
    assert found.outage_h * 60 == pytest.approx(10.0)
    assert found.money_usd == pytest.approx(0.6)


def test_who_leaves_one_tick_before_a_loss_suffers_none() -> None:
    found = paid(market([[1, 1], [1, 1], [0, 1]]), A, B, B)
    assert (found.moves, found.interruptions) == (1, 0)


def test_where_it_came_from_counts_for_the_first_tick() -> None:
    assert paid(market([[1, 1]]), B, came_from=A).moves == 1
    assert paid(market([[0, 1]]), B, came_from=A).interruptions == 1


def test_nothing_runs_in_a_pool_that_is_down() -> None:
    with pytest.raises(BacktestError, match="us-east-1a is down"):
        paid(market([[1], [0]]), A, A)


def test_j_adds_outage_at_so_many_hours_of_on_demand() -> None:
    found = Bill(money_usd=5.0, outage_h=0.5, hours=10.0, always_on_demand_usd=30.0)
    assert found.j(0) == 5.0
    assert found.j(10) == pytest.approx(5.0 + 10 * 0.5 * 3.0)


# --- where moves have an outage, and zones make a difference

WITHIN, BEYOND = MoveProfile(0.1, outage_h=0.02), MoveProfile(0.5, outage_h=0.1, copies=True)
OWN = MoveRules(WITHIN, BEYOND, data_gib=1000)


def in_zones(of: MarketHistory, *zones: str, rules: MoveRules = OWN) -> MarketHistory:
    """`zones`: of on-demand, then of the pools."""
    return replace(of, zones=zones[: 1 + len(of.pools)], rules=rules)


def test_a_move_is_billed_by_whether_it_leaves_its_zone() -> None:
    of = in_zones(market([[1, 1], [1, 1]]), "a", "a", "b")
    near, far = paid(of, ON_DEMAND, A), paid(of, A, B)
    assert near.money_usd == pytest.approx(1.0 + 0.3 + 0.1 * 1.0)
    assert (near.move_outage_h, near.snapshot_usd) == (0.02, 0.0)
    assert far.snapshot_usd == pytest.approx(BEYOND.snapshot_usd(1000))
    assert far.money_usd == pytest.approx(0.6 + 0.5 * 0.3 + far.snapshot_usd)
    assert (far.moves, far.outage_h, far.move_outage_h) == (1, 0.0, 0.1)
    assert far.j(10) == pytest.approx(far.money_usd + 10 * 0.1)


def test_a_loss_is_no_move_whatever_moves_cost() -> None:
    found = paid(in_zones(market([[1, 1], [0, 1]]), "a", "a", "b"), A, B)
    assert (found.move_outage_h, found.snapshot_usd) == (0.0, 0.0)
    assert found.outage_h == OWN.outage_h


def test_without_zones_every_move_is_alike_and_by_the_harness_has_no_outage() -> None:
    assert paid(market([[1, 1], [1, 1]]), A, B).move_outage_h == 0.0
    assert paid(replace(market([[1, 1], [1, 1]]), rules=OWN), A, B).move_outage_h == 0.1


def test_a_move_beyond_the_zone_that_costs_less_than_one_within_it_is_no_rule() -> None:
    with pytest.raises(ValueError, match="costs less than one within it"):
        MoveRules(within=BEYOND, beyond=WITHIN)


@given(st.integers(0, 20), st.sampled_from((0.5, 1.0, 7.0)))
def test_days_add_up_to_the_whole(seed: int, gap_h: float) -> None:
    of = long_market(seed, ticks=60, gap_h=gap_h)
    window = TickWindow(3, 60)
    choices = Clairvoyant(of, window, 10.0).path()
    whole, parts = bill(of, window, choices), total(by_day(of, window, choices).values())
    for name, value in vars(whole).items():
        assert getattr(parts, name) == pytest.approx(value), name


# --- the clairvoyant


def every_way(of: MarketHistory, window: TickWindow) -> list[list[int]]:
    """Each choice of a place per tick that is up, or on-demand."""
    places = [
        [ON_DEMAND, *(pool for pool in range(len(of.pools)) if of.up[tick][pool])]
        for tick in range(window.start, window.stop)
    ]
    return [list(way) for way in product(*places)]


@given(markets(), st.sampled_from((0.0, 1.0, 10.0, 50.0)))
@settings(deadline=None)
def test_no_way_is_cheaper_than_the_clairvoyants(of: MarketHistory, weight: float) -> None:
    window = TickWindow(0, of.ticks)
    least = min(bill(of, window, way).j(weight) for way in every_way(of, window))
    known = Clairvoyant(of, window, weight)
    assert known.least() == pytest.approx(least)
    assert bill(of, window, known.path()).j(weight) == pytest.approx(least)


@given(markets(), st.sampled_from((0.0, 10.0)), st.data())
@settings(deadline=None)
def test_nor_from_any_place_to_begin_at(of: MarketHistory, weight: float, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(of.pools) - 1))
    window = TickWindow(0, of.ticks)
    least = min(bill(of, window, way, start).j(weight) for way in every_way(of, window))
    path = Clairvoyant(of, window, weight).path(start)
    assert bill(of, window, path, start).j(weight) == pytest.approx(least)


RULES_DRAWN = st.builds(
    lambda near, more, copies, gib: MoveRules(
        MoveProfile(near[0], near[1]), MoveProfile(near[0] + more[0], near[1] + more[1], copies), data_gib=gib
    ),
    st.tuples(st.sampled_from((0.0, 0.1, 1.0)), st.sampled_from((0.0, 0.02, 0.3))),
    st.tuples(st.sampled_from((0.0, 0.4)), st.sampled_from((0.0, 0.1))),
    st.booleans(),
    st.sampled_from((0, 10, 100)),
)
ZONES_DRAWN = st.lists(st.sampled_from("ab"), min_size=4, max_size=4)


@given(
    markets(most_ticks=4, most_pools=3), RULES_DRAWN, ZONES_DRAWN, st.sampled_from((0.0, 1.0, 10.0)), st.integers(0, 3)
)
@settings(deadline=None, max_examples=300)
def test_nor_where_moves_have_an_outage_and_snapshots(
    plain: MarketHistory, rules: MoveRules, zones: list[str], weight: float, start: int
) -> None:
    of, window = in_zones(plain, *zones, rules=rules), TickWindow(0, plain.ticks)
    begin = start % (1 + len(of.pools)) + ON_DEMAND
    ways = every_way(of, window)
    known = Clairvoyant(of, window, weight)
    least = min(bill(of, window, way).j(weight) for way in ways)
    assert known.least() == pytest.approx(least)
    assert bill(of, window, known.path()).j(weight) == pytest.approx(least)
    least = min(bill(of, window, way, begin).j(weight) for way in ways)
    assert known.least_from(begin) == pytest.approx(least)
    assert bill(of, window, known.path(begin), begin).j(weight) == pytest.approx(least)


def test_the_rules_are_those_of_the_task() -> None:
    assert MoveRules(PLANNED_MOVE, PLANNED_MOVE) == USUAL_RULES
    assert (PLANNED_MOVE.outage_h, PLANNED_MOVE.copies) == (0.0, False)
    assert USUAL_RULES.overlap_h == 0.2
    assert USUAL_RULES.outage_h == pytest.approx(1 / 6)
