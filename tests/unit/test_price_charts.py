"""A price series made short enough to be drawn."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.market.instance_cost import instance_cost
from domain.market.observed_prices import PriceSource
from domain.market.price_charts import chart_pieces
from domain.market.price_series import PriceStep, PriceStepKind, UnchangedPrice, price_steps

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
START, END = NOW - timedelta(days=7), NOW


def series(prices: list[tuple[int, int]]) -> list[PriceStep]:
    """(hours before now, millis of a dollar), from before the time on."""
    starts = {NOW - timedelta(hours=hours): Decimal(usd) / 1000 for hours, usd in [(200, 50), *prices]}
    runs = [UnchangedPrice(at, usd, PriceSource.EC2, at, PriceSource.EC2) for at, usd in sorted(starts.items())]
    return price_steps(runs)


@given(st.lists(st.tuples(st.integers(0, 190), st.integers(1, 500)), max_size=60), st.integers(1, 40))
def test_pieces_have_no_gap_hide_no_extreme_and_cost_what_the_series_does(
    prices: list[tuple[int, int]], most: int
) -> None:
    whole = series(prices)
    found = chart_pieces(whole, START, END, most)
    assert 1 <= len(found) <= most
    assert (found[0].from_at, found[-1].until_at) == (START, END)
    assert all(one.until_at == after.from_at for one, after in pairwise(found))
    within = [float(step.usd) for step in whole if step.from_at < END and (step.until_at or END) > START]
    assert min(one.min_usd_per_hour for one in found) == min(within)
    assert max(one.max_usd_per_hour for one in found) == max(within)
    assert all(one.min_usd_per_hour <= one.usd_per_hour <= one.max_usd_per_hour for one in found)
    cost = sum(one.usd_per_hour * (one.until_at - one.from_at) / timedelta(hours=1) for one in found)
    assert cost == pytest.approx(float(instance_cost(whole, START, END).usd), abs=1e-3)


def test_a_piece_is_observed_only_if_all_of_it_was() -> None:
    [one] = chart_pieces(series([(100, 60)]), START, END, 1)
    assert one.kind is PriceStepKind.FILLED
    assert one.confidence < 0.5
    assert PriceStepKind.OBSERVED in {piece.kind for piece in chart_pieces(series([(100, 60)]), START, END, 100)}


def test_no_time_and_no_pieces_are_refused() -> None:
    for start, end, most in ((END, START, 5), (START, START, 5), (START, END, 0)):
        with pytest.raises(ValueError, match="no chart"):
            chart_pieces([], start, end, most)
    assert chart_pieces([], START, END, 5) == []
