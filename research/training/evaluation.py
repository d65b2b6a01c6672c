"""Compares the model with the built-in policy. Both were fitted on first halves and are tested on data new to both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from domain.autopilot.tuning import Tuning
from domain.forecasting.forecaster import Forecaster
from research.backtest.availability import (
    SECOND,
    WHOLE,
    MarketPart,
    ObservedMarket,
    PolicyResult,
    compare_tunings,
    prepare,
)
from research.backtest.market_sets import halves

WEIGHTS = (1.0, 10.0, 50.0)
BUILT_IN, MODEL = "built-in", "model"
STARTS = 80


def judge_sets(
    markets: Sequence[ObservedMarket], tuning: Tuning, forecaster: Forecaster, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """A row for each set and weight: J of both relative to on-demand, with intervals. `tuning`: of first halves."""
    found: list[dict[str, Any]] = []
    for observed in markets:
        say(f"judging: {observed.market.name}")
        part = _unseen(observed)
        for weight in WEIGHTS:
            both = compare_tunings([part], {BUILT_IN: tuning, MODEL: tuning}, weight, {MODEL: forecaster})
            found.append(_row(part, weight, {one.policy: one for one in both}))
    return found


def _unseen(observed: ObservedMarket) -> MarketPart:
    wanted = SECOND if halves(observed.market) else WHOLE
    return next(part for part in prepare(observed, STARTS) if part.part == wanted)


def _row(part: MarketPart, weight: float, by_policy: dict[str, PolicyResult]) -> dict[str, Any]:
    figures = {
        name: {"j": round(one.j.value, 4), "low": round(one.j.low, 4), "high": round(one.j.high, 4)}
        for name, one in by_policy.items()
    }
    return {"set": part.market.name, "part": part.part, "weight": weight, **figures}


def means_by_weight(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[float, float, float, int]]:
    """By weight: mean J of the built-in policy, of the model, and on how many sets the model is cheaper."""
    for weight in WEIGHTS:
        own = [row for row in rows if row["weight"] == weight]
        built_in, model = ([row[name]["j"] for row in own] for name in (BUILT_IN, MODEL))
        cheaper = sum(one < other for one, other in zip(model, built_in, strict=True))
        yield weight, sum(built_in) / len(own), sum(model) / len(own), cheaper
