"""Prices in three tiers: what was said, one word a minute, one gapless series."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.market.instance_cost import instance_cost, instance_cost_by_hour
from domain.market.observed_prices import (
    PriceBounds,
    PricePoint,
    PriceSource,
    ReportedPrice,
    SetAsideReason,
    sift_prices,
)
from domain.market.price_series import (
    HOLD,
    PriceStep,
    PriceStepKind,
    TimeSpan,
    UnchangedPrice,
    changed_spans,
    confidence_at,
    consolidate,
    differing_slices,
    merge_points,
    minute_of,
    price_steps,
    step_at,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
EC2, AGENT, FILE = PriceSource.EC2, PriceSource.AGENT, PriceSource.FILE


def at(hours: float) -> datetime:
    return T0 + timedelta(hours=hours)


def point(hours: float, usd: str, source: PriceSource = EC2) -> PricePoint:
    return PricePoint(at(hours), Decimal(usd), source)


# --- what was said


def said(**changes: Any) -> ReportedPrice:
    return ReportedPrice("us-east-1", "us-east-1a", "m5.large", T0, "0.035")._replace(**changes)


def reason(one: ReportedPrice, known: PriceBounds | None = None) -> SetAsideReason | None:
    sifted = sift_prices([one], EC2, known or PriceBounds(now=T0))
    assert len(sifted.points) + len(sifted.set_aside) == 1, "a price is kept or set aside, never dropped"
    return sifted.set_aside[0].reason if sifted.set_aside else None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"usd_per_hour": "0"}, SetAsideReason.ZERO),
        ({"usd_per_hour": 0.0}, SetAsideReason.ZERO),
        ({"usd_per_hour": "0.0000001"}, SetAsideReason.ZERO),
        ({"usd_per_hour": "-0.03"}, SetAsideReason.NEGATIVE),
        ({"usd_per_hour": "NaN"}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": float("nan")}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": "sNaN"}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": "Infinity"}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": "cheap"}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": ""}, SetAsideReason.NOT_A_NUMBER),
        ({"usd_per_hour": "1e400"}, SetAsideReason.TOO_HIGH),
        ({"usd_per_hour": "0.97"}, SetAsideReason.TOO_HIGH),
        ({"currency": "CNY"}, SetAsideReason.CURRENCY),
        ({"at": T0 + timedelta(seconds=61)}, SetAsideReason.IN_THE_FUTURE),
        ({"at": T0.replace(tzinfo=None)}, SetAsideReason.BAD_TIME),
        ({"at": "yesterday"}, SetAsideReason.BAD_TIME),
        ({"at": "1970-01-01T00:00:00Z"}, SetAsideReason.BAD_TIME),
        ({"at": "0001-01-01T00:00:00+14:00"}, SetAsideReason.BAD_TIME),
        ({"zone": "us-east-1x"}, SetAsideReason.UNKNOWN_ZONE),
        ({"zone": "eu-west-1a"}, SetAsideReason.UNKNOWN_ZONE),
        ({"instance_type": "m99.large"}, SetAsideReason.UNKNOWN_TYPE),
    ],
)
def test_what_cannot_be_true_is_set_aside_with_its_reason(change: dict[str, Any], why: SetAsideReason) -> None:
    zones, types = frozenset({"us-east-1a", "eu-west-1a"}), frozenset({"m5.large"})
    known = PriceBounds(T0, zones, types, {("us-east-1", "m5.large"): Decimal("0.096")})
    assert reason(said(**change), known) is why
    assert reason(said(), known) is None


def test_what_is_not_known_is_not_held_against_a_price() -> None:
    assert reason(said(usd_per_hour="50", instance_type="m99.large", zone="us-east-1x")) is None
    assert reason(said(at=T0 + 9 * HOUR), PriceBounds()) is None
    assert reason(said(zone="nowhere")) is SetAsideReason.UNKNOWN_ZONE
    assert reason(said(instance_type="large")) is SetAsideReason.UNKNOWN_TYPE
    assert reason(said(usd_per_hour="100001")) is SetAsideReason.TOO_HIGH


def test_a_minute_of_clock_error_is_forgiven() -> None:
    assert reason(said(at=T0 + timedelta(seconds=60))) is None


def test_a_price_is_taken_exactly_and_its_time_in_utc() -> None:
    east = T0.astimezone(timezone(timedelta(hours=-5)))
    points = sift_prices([said(usd_per_hour=0.1, at=east), said(at=east.isoformat())], AGENT, PriceBounds())
    assert points.points["us-east-1a", "m5.large"] == [
        PricePoint(T0, Decimal("0.100000"), AGENT),
        PricePoint(T0, Decimal("0.035000"), AGENT),
    ]


def test_the_same_words_set_aside_are_one() -> None:
    first, again = sift_prices([said(usd_per_hour="0")] * 2, EC2, PriceBounds()).set_aside
    other = sift_prices([said(usd_per_hour="0")], FILE, PriceBounds()).set_aside[0]
    assert first.digest == again.digest != other.digest


# --- consolidated


def test_a_repeat_within_a_day_is_collapsed_and_a_change_is_not() -> None:
    runs = consolidate([point(0, "1"), point(24, "1"), point(30, "2"), point(31, "1")])
    assert [(run.at, str(run.usd), run.last_at) for run in runs] == [
        (at(0), "1", at(24)),
        (at(30), "2", at(30)),
        (at(31), "1", at(31)),
    ]


def test_the_same_price_after_a_long_silence_is_news() -> None:
    assert len(consolidate([point(0, "1"), point(26, "1")])) == 1
    assert len(consolidate([point(0, "1"), point(26.1, "1")])) == 2


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        (PricePoint(at(0) + timedelta(seconds=30), Decimal(9), AGENT), point(0, "1")),
        (PricePoint(at(0) + timedelta(seconds=30), Decimal(9), FILE), point(0, "1", AGENT)),
        (point(0, "9"), PricePoint(at(0) + timedelta(seconds=30), Decimal(1), EC2)),
        (point(0, "1"), point(0, "9")),
    ],
    ids=["EC2 before an agent", "an agent before a file", "the latest in the minute", "the dearer of one instant"],
)
def test_of_one_minute_one_word_counts(weaker: PricePoint, stronger: PricePoint) -> None:
    for order in ([weaker, stronger], [stronger, weaker]):
        assert [(run.usd, run.source) for run in consolidate(order)] == [(stronger.usd, stronger.source)]


class Shelf:
    """One pool's tiers as a database holds them: only what is near new points is read and replaced."""

    def __init__(self) -> None:
        self.observed: set[PricePoint] = set()
        self.runs: list[UnchangedPrice] = []

    def keep(self, new: list[PricePoint]) -> None:
        low, high = min(minute_of(p.at) for p in new), max(minute_of(p.at) for p in new)
        first = max((i for i, run in enumerate(self.runs) if minute_of(run.at) < low), default=0)
        last = min((i for i, run in enumerate(self.runs) if minute_of(run.at) > high), default=len(self.runs))
        near = self.runs[first : last + 1]
        self.runs[first : last + 1] = merge_points(near, self._observed(near, low, high), new)
        self.observed |= set(new)

    def _observed(self, near: list[UnchangedPrice], low: datetime, high: datetime) -> list[PricePoint]:
        if all(minute_of(run.last_at) < low for run in near):
            return []
        after = [run.at for run in near if minute_of(run.at) > high]
        start = min([low, *(run.at for run in near)])
        return [p for p in self.observed if start <= p.at and (not after or p.at < after[0])]


# Minutes apart and days apart, with few prices, so that minutes meet, repeats repeat and silences are long.
instants = st.builds(
    lambda step, seconds: T0 + step * timedelta(hours=5) + timedelta(seconds=seconds),
    st.integers(0, 40),
    st.sampled_from([0, 20, 60, 3600]),
)
points = st.builds(PricePoint, instants, st.sampled_from([Decimal(1), Decimal(2)]), st.sampled_from(PriceSource))
batches = st.lists(st.lists(points, min_size=1, max_size=8), min_size=1, max_size=8)


@given(batches, st.randoms(use_true_random=False))
def test_any_order_and_any_repetition_end_as_one_sorted_batch(
    given_batches: list[list[PricePoint]], random: Any
) -> None:
    together = consolidate(sorted(p for batch in given_batches for p in batch))
    shuffled = [*given_batches, *given_batches[::2]]
    random.shuffle(shuffled)
    shelf = Shelf()
    for batch in shuffled:
        shelf.keep(batch)
    assert shelf.runs == together


@given(st.lists(points, min_size=1, max_size=40))
def test_a_series_has_no_gap_and_says_what_the_last_word_said(some: list[PricePoint]) -> None:
    runs = consolidate(some)
    series = price_steps(runs)
    assert series[0].from_at == runs[0].at
    assert series[-1].until_at is None
    assert all(step.until_at == following.from_at for step, following in pairwise(series))
    for moment in {p.at for p in some} | {step.from_at for step in series}:
        step = step_at(series, moment)
        latest = max((run for run in runs if run.at <= moment), key=lambda run: run.at, default=None)
        assert (step and step.usd) == (latest and latest.usd)


@given(batches)
def test_what_changed_is_all_that_changed(given_batches: list[list[PricePoint]]) -> None:
    before: list[PriceStep] = []
    known: list[PricePoint] = []
    for batch in given_batches:
        known += batch
        after = price_steps(consolidate(known))
        spans = changed_spans(before, after)
        for moment in {step.from_at + d for step in (*before, *after) for d in (timedelta(0), timedelta(seconds=-1))}:
            was, now = step_at(before, moment), step_at(after, moment)
            inside = any(s.from_at <= moment and (s.until_at is None or moment < s.until_at) for s in spans)
            assert inside == ((was and was.usd) != (now and now.usd))
        assert all(one.until_at is not None and one.until_at < other.from_at for one, other in pairwise(spans))
        before = after


@given(batches)
def test_taking_out_and_putting_in_what_differs_makes_the_new_series(given_batches: list[list[PricePoint]]) -> None:
    old, new = (price_steps(consolidate(batch)) for batch in (given_batches[0], given_batches[-1]))
    out, put = differing_slices(old, new)
    assert [*old[: out.start], *new[put], *old[out.stop :]] == new


# --- canonical


def test_silence_turns_an_observed_price_into_a_filled_one() -> None:
    series = price_steps(consolidate([point(0, "1"), point(60, "2")]))
    assert [(s.from_at, s.until_at, s.kind) for s in series] == [
        (at(0), at(0) + HOLD, PriceStepKind.OBSERVED),
        (at(0) + HOLD, at(60), PriceStepKind.FILLED),
        (at(60), at(60) + HOLD, PriceStepKind.OBSERVED),
        (at(60) + HOLD, None, PriceStepKind.FILLED),
    ]


def test_confidence_is_the_sources_while_observed_and_halves_with_each_day_of_silence() -> None:
    observed, filled = price_steps(consolidate([point(0, "1")]))
    assert [confidence_at(observed, at(hour)) for hour in (0, 12, 25.9)] == [1.0, 1.0, 1.0]
    assert [confidence_at(filled, at(hour)) for hour in (48, 72, 96)] == [0.25, 0.125, 0.0625]
    assert filled.confidence == confidence_at(filled, filled.from_at) < 0.5
    assert price_steps(consolidate([point(0, "1", AGENT)]))[0].confidence == 0.9
    assert price_steps(consolidate([point(0, "1", FILE), point(1, "1")]))[0].confidence == 1.0, "EC2 confirmed it"


def test_a_late_price_changes_the_past_it_speaks_of_and_no_more() -> None:
    before = price_steps(consolidate([point(0, "1"), point(10, "3")]))
    after = price_steps(consolidate([point(0, "1"), point(10, "3"), point(4, "2")]))
    assert changed_spans(before, after) == [TimeSpan(at(4), at(10))]


def test_a_repeat_is_no_change_of_the_past() -> None:
    before, after = price_steps(consolidate([point(0, "1")])), price_steps(consolidate([point(0, "1"), point(24, "1")]))
    assert before != after
    assert changed_spans(before, after) == []


def test_there_is_no_price_before_the_first() -> None:
    series = price_steps(consolidate([point(0, "1")]))
    assert step_at(series, at(-1)) is None
    assert changed_spans([], series) == [TimeSpan(at(0), None)]


# --- what it cost


def test_the_mean_of_an_hour_is_the_integral_of_its_steps() -> None:
    series = price_steps(consolidate([point(0, "0.03"), point(0.25, "0.07"), point(2, "0.01")]))
    first, second, third = instance_cost_by_hour(series, at(0), at(2.5))
    assert first.mean_usd_per_hour == Decimal("0.06")
    assert second.mean_usd_per_hour == Decimal("0.07")
    assert third.usd_seconds == Decimal("36")
    assert third.usd == Decimal("0.01")


def test_an_hour_that_starts_without_a_price_says_so() -> None:
    hour = instance_cost(price_steps(consolidate([point(0.5, "0.06")])), at(0), at(1))
    assert (hour.known, hour.mean_usd_per_hour, hour.usd) == (0.5, Decimal("0.06"), Decimal("0.03"))
    nothing = instance_cost([], at(0), at(1))
    assert (nothing.known, nothing.mean_usd_per_hour) == (0, None)


def test_an_interval_that_ends_before_it_starts_is_refused() -> None:
    with pytest.raises(ValueError, match="is not before"):
        instance_cost([], at(1), at(1))


@given(st.lists(points, min_size=1, max_size=20), st.lists(st.integers(1, 10**12), min_size=1, max_size=5))
def test_parts_of_a_time_cost_what_the_whole_does(some: list[PricePoint], cuts: list[int]) -> None:
    series = price_steps(consolidate(some))
    edges = sorted({T0, *(T0 + timedelta(microseconds=cut) for cut in cuts)})
    whole = instance_cost(series, edges[0], edges[-1]).usd_seconds
    assert sum(instance_cost(series, a, b).usd_seconds for a, b in pairwise(edges)) == whole
    exact = sum(
        Fraction(step.usd) * Fraction((min(step.until_at or edges[-1], edges[-1]) - max(step.from_at, T0)) // us, 10**6)
        for step in series
        for us in [timedelta(microseconds=1)]
        if step.from_at < edges[-1] and (step.until_at is None or step.until_at > T0)
    )
    assert Fraction(whole) == exact
