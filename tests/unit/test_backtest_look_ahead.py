"""No look-ahead: what comes after a tick changes nothing that is decided in it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, overload

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.autopilot.appraisal import rate_offers
from domain.autopilot.decision import Decision
from domain.autopilot.tuning import DEFAULT_TUNING
from domain.backtest.market_history import ON_DEMAND, MarketHistory, TickWindow
from domain.backtest.offers_by_tick import observe_market, rate_by_tick
from domain.backtest.policy_run import run_policy
from research.backtest.availability import ObservedMarket
from research.backtest.compared_policies import ProductPolicy
from tests.market_histories import long_market

ABSURD = (-1e9, -0.01, 1e-300, 1e308, math.inf, -math.inf, math.nan)


class RowsUntil(Sequence[Any]):
    """Rows that are open up to a tick: who looks further is caught in the act."""

    def __init__(self, rows: Sequence[Any], now: int) -> None:
        self._rows, self._now = rows, now

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, at: int) -> Any: ...
    @overload
    def __getitem__(self, at: slice) -> Any: ...
    def __getitem__(self, at: int | slice) -> Any:
        assert isinstance(at, int)
        assert 0 <= at <= self._now, f"tick {at} was looked at, now is {self._now}"
        return self._rows[at]


def ours(market: MarketHistory, weight: float) -> ProductPolicy:
    return ProductPolicy(market, rate_by_tick(ObservedMarket.of(market).offers, DEFAULT_TUNING), weight, DEFAULT_TUNING)


def decisions(of: ProductPolicy, market: MarketHistory, until: int) -> list[Decision]:
    """Of every tick and place up to and with `until`, also of a server that is nowhere yet."""
    places = [None, ON_DEMAND, *range(len(market.pools))]
    return [of.decide(tick, place) for tick in range(until + 1) for place in places]


@given(st.integers(0, 50), st.integers(0, 98), st.sampled_from((0.0, 1.0, 10.0, 50.0)), st.data())
@settings(deadline=None, max_examples=40)
def test_a_poisoned_future_changes_no_decision_before_it(
    seed: int, now: int, weight: float, data: st.DataObject
) -> None:
    market = long_market(seed, ticks=100)
    absurd = st.sampled_from(ABSURD)
    up = [tuple(data.draw(st.tuples(*[st.booleans()] * 3))) for _ in range(5)]
    usd = [tuple(data.draw(st.tuples(*[absurd] * 3))) for _ in range(5)]
    left = range(now + 1, market.ticks)
    poisoned = replace(
        market,
        up=[*market.up[: now + 1], *(up[tick % 5] for tick in left)],
        prices=[*market.prices[: now + 1], *(usd[tick % 5] for tick in left)],
    )
    assert decisions(ours(poisoned, weight), poisoned, now) == decisions(ours(market, weight), market, now)


@pytest.mark.parametrize("now", [0, 1, 57, 298])
def test_nothing_after_the_tick_is_even_looked_at(now: int) -> None:
    market = long_market(3)
    closed = replace(market, up=RowsUntil(market.up, now), prices=RowsUntil(market.prices, now))
    forward = observe_market(closed)
    seen = [rate_offers(next(forward), DEFAULT_TUNING) for _ in range(now + 1)]
    policy = ProductPolicy(closed, RowsUntil([*seen, *[None] * (market.ticks - now - 1)], now), 10.0, DEFAULT_TUNING)
    choices = run_policy(closed, TickWindow(0, now + 1), policy)
    assert choices == run_policy(market, TickWindow(0, now + 1), ours(market, 10.0))


def test_who_looks_ahead_is_caught() -> None:
    """The guard of the test above bites."""
    market = long_market(3)
    closed = replace(market, up=RowsUntil(market.up, 5))
    with pytest.raises(AssertionError, match="tick 6 was looked at"):
        _walk(observe_market(closed), 7)


def _walk(forward: Iterator[object], ticks: int) -> None:
    for _ in range(ticks):
        next(forward)


@given(st.integers(0, 30), st.sampled_from((0.0, 10.0)), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=20)
def test_a_decision_is_a_function_of_its_facts(seed: int, weight: float, order: Any) -> None:
    """In whatever order ticks are asked about, and however often, the answer is the same."""
    market = long_market(seed, ticks=60)
    straight, mixed = ours(market, weight), ours(market, weight)
    asked = [(tick, place) for tick in range(60) for place in (None, ON_DEMAND, 0, 1, 2)]
    expected = {key: straight.decide(*key) for key in asked}
    order.shuffle(asked)
    assert {key: mixed.decide(*key) for key in asked} == expected
    assert {key: mixed.decide(*key) for key in asked} == expected
