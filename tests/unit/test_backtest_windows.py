"""Which parts of a series are replayed, how sure a figure is, and where nothing was observed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.autopilot.tuning import DEFAULT_TUNING
from domain.backtest.contract import NoData
from domain.backtest.market_history import TickWindow
from research.backtest.availability import (
    CLAIRVOYANT,
    FIRST,
    ON_DEMAND,
    PRODUCT_POLICY,
    SECOND,
    WHOLE,
    ObservedMarket,
    compare_policies,
    prepare,
)
from research.backtest.confidence_intervals import ratio
from research.backtest.market_sets import availability_sets, halves, market_of, windows
from research.backtest.traces import Trace
from tests.market_histories import long_market, market


def test_windows_are_of_seven_days_and_the_same_in_every_run() -> None:
    of = long_market(ticks=1000, gap_h=1.0)
    found = windows(of, 20)
    assert found == windows(of, 20)
    assert len({one.start for one in found}) > 10
    assert all(one.stop - one.start == 168 and one.start >= 0 and one.stop <= 1000 for one in found)


def test_a_series_shorter_than_a_week_is_one_window() -> None:
    assert windows(market([[1]] * 10), 100) == [TickWindow(0, 10)]


def test_halves_hold_a_week_each_or_there_are_none() -> None:
    assert halves(market([[1]] * 336)) == (TickWindow(0, 168), TickWindow(168, 336))
    assert halves(market([[1]] * 335)) is None


@pytest.mark.parametrize("window", [TickWindow(0, 11), TickWindow(-1, 5), TickWindow(5, 5), TickWindow(20, 30)])
def test_a_period_that_was_not_observed_is_refused_with_the_one_that_was(window: TickWindow) -> None:
    with pytest.raises(NoData, match=r"covers hours 0 to 10\.0 .* Ask for a period within"):
        window.checked(market([[1]] * 10))
    with pytest.raises(NoData, match="Ask for a period within"):
        windows(market([[1]] * 10), 3, window)


def test_a_set_without_series_is_no_data() -> None:
    with pytest.raises(NoData, match="no series for the set x"):
        market_of("x", [], 1.0)


def test_a_series_without_its_on_demand_price_is_no_data() -> None:
    trace = Trace("s", "p9.large", "us-east-1a", 1, 1.0, [True], [])
    with pytest.raises(NoData, match=r"ondemand\.csv has no price of p9\.large, which s needs"):
        availability_sets([trace], {})


@given(st.lists(st.floats(0.1, 10.0), min_size=2, max_size=30))
@settings(deadline=None, max_examples=20)
def test_an_interval_holds_its_value_and_is_the_same_again(parts: list[float]) -> None:
    found = ratio(parts, [1.0] * len(parts), 2)
    assert found.low <= found.value + 1e-9
    assert found.value <= found.high + 1e-9
    assert found == ratio(parts, [1.0] * len(parts), 2)
    assert found.value == pytest.approx(math.fsum(parts) / len(parts))


def test_a_comparison_has_every_policy_with_its_interval_and_a_regret_between() -> None:
    parts = prepare(ObservedMarket.of(long_market(2, ticks=800)), 6)
    assert [part.part for part in parts] == [WHOLE, FIRST, SECOND]
    found = {one.policy: one for one in compare_policies(parts[:1], DEFAULT_TUNING, [10.0])}
    assert {PRODUCT_POLICY, CLAIRVOYANT, ON_DEMAND, "stay put", "any that is up"} <= found.keys()
    assert found[CLAIRVOYANT].regret.value == pytest.approx(0.0)
    assert found[ON_DEMAND].regret.value == pytest.approx(1.0)
    for one in found.values():
        assert one.regret.value >= -1e-9
        assert one.j.low <= one.j.value <= one.j.high
    assert found[PRODUCT_POLICY].best_simple in found
