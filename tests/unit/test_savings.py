"""The ledger of savings: what an hour comes to, and entries that add up whatever comes in which order."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.savings.accrual import HOUR, Accrual
from domain.savings.amounts import NOTHING, US_PER_HOUR, Amounts, rounded, total, usd
from domain.savings.ledger import BookedHour, EntryReason, LedgerEntry, booked_until, difference_entry
from domain.savings.price_periods import PricePeriod, RegionPrices, on_demand_series, periods_within
from domain.savings.server_usage import InstanceUsage, KeptSnapshot, PaidRole, ServerUsage, role_stretches

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ZONE, SPOT, HOME = "us-east-1a", "m6a.large", "m5.large"


def at(minutes: float) -> datetime:
    return T0 + timedelta(minutes=minutes)


def ran(
    from_min: float, until_min: float | None, *roles: tuple[float, str | None], spot: bool = True, kind: str = SPOT
) -> InstanceUsage:
    end = None if until_min is None else at(until_min)
    return InstanceUsage(ZONE, kind, spot, at(from_min), end, tuple((at(when), role) for when, role in roles))


def server(*instances: InstanceUsage, **more: Any) -> ServerUsage:
    return ServerUsage("srv-1", "cli-1", "us-east-1", HOME, instances, **more)


def prices(
    spot: Sequence[PricePeriod] = (PricePeriod(at(-600), None, 40_000),), on_demand: str | None = "0.096"
) -> RegionPrices:
    valid = [(at(-9000), Decimal(on_demand))] if on_demand else []
    home = {HOME: on_demand_series(valid)} if valid else {}
    return RegionPrices({(ZONE, SPOT): spot}, home)


def hour(found: RegionPrices, one: ServerUsage, until_min: float = 60) -> Amounts:
    return Accrual(found).amounts(one, T0, at(until_min))


# --- what an hour comes to


def test_an_hour_on_spot_is_held_against_on_demand_of_the_type_it_came_with() -> None:
    found = hour(prices(), server(ran(-100, None, (-100, "primary"))))
    assert found == Amounts(primary=40_000, on_demand=96_000)
    assert (usd(found.cost), usd(found.saved)) == (Decimal("0.04"), Decimal("0.056"))


def test_a_switch_pays_both_while_one_hands_over_and_compares_one() -> None:
    old = ran(-100, 40, (-100, "primary"), (30, None), spot=False, kind=HOME)
    new = ran(20, None, (30, "primary"))
    found = hour(prices(), server(old, new))
    assert found.primary == rounded(96_000 * US_PER_HOUR // 2 + 40_000 * US_PER_HOUR // 2)
    assert found.overlap == rounded((96_000 + 40_000) * US_PER_HOUR // 6)  # the new for 10 minutes, the old for 10
    assert found.on_demand == 96_000


def test_a_replica_costs_from_its_launch_and_is_held_against_nothing() -> None:
    replica = ran(0, None, (15, "replica"))
    assert hour(prices(), server(replica)) == Amounts(replica=40_000)


def test_a_launch_that_came_to_nothing_is_overlap() -> None:
    assert hour(prices(), server(ran(0, 30))) == Amounts(overlap=20_000)


def test_while_nothing_serves_nothing_is_saved() -> None:
    lost = ran(-100, 20, (-100, "primary"))
    rescue = ran(25, None, (40, "primary"))
    found = hour(prices(), server(lost, rescue))
    assert found.on_demand == 96_000 * 2 // 3


def test_each_price_holds_for_its_part_of_the_hour() -> None:
    steps = [PricePeriod(at(-600), at(15), 40_000), PricePeriod(at(15), None, 80_000)]
    assert hour(prices(steps), server(ran(-1, None, (-1, "primary")))).primary == 70_000


def test_an_unknown_price_is_in_no_sum_and_is_told() -> None:
    steps = [PricePeriod(at(45), None, 40_000)]
    found = hour(prices(steps), server(ran(-1, None, (-1, "primary"))))
    assert found == Amounts(primary=10_000, on_demand=24_000, unpriced_s=45 * 60)


def test_without_an_on_demand_price_nothing_is_compared() -> None:
    found = hour(prices(on_demand=None), server(ran(-1, None, (-1, "primary"))))
    assert found == Amounts(unpriced_s=3600)


def test_a_price_that_was_carried_on_is_told() -> None:
    steps = [PricePeriod(at(-600), at(30), 40_000), PricePeriod(at(30), None, 40_000, filled=True)]
    found = hour(prices(steps), server(ran(-1, None, (-1, "primary"))))
    assert found == Amounts(primary=40_000, on_demand=96_000, filled_s=1800)


def test_a_snapshot_costs_its_volumes_size_at_most() -> None:
    kept = server(snapshots=(KeptSnapshot(730, T0, at(30)),))
    assert hour(prices(), kept) == Amounts(snapshot=25_000)


def test_an_on_demand_price_holds_from_its_day_and_the_first_for_all_before() -> None:
    series = on_demand_series([(at(0), Decimal("0.1")), (at(30), Decimal("0.2"))])
    assert [one.micro_usd for one in periods_within(series, at(-60), at(60))] == [100_000, 200_000]


@pytest.mark.parametrize(
    ("exact", "whole"), [(0, 0), (US_PER_HOUR // 2, 0), (3 * US_PER_HOUR // 2, 2), (US_PER_HOUR // 2 + 1, 1)]
)
def test_money_is_rounded_once_half_to_even(exact: int, whole: int) -> None:
    assert rounded(exact) == whole


# --- for any course of things

_moment = st.integers(-90, 150).map(at)
_role = st.sampled_from(["primary", "replica", None])


@st.composite
def _rans(draw: st.DrawFn) -> InstanceUsage:
    start = draw(_moment)
    end = draw(st.none() | st.integers(1, 200).map(lambda minutes: start + timedelta(minutes=minutes)))
    changes = sorted(draw(st.lists(st.tuples(_moment, _role), max_size=4)), key=lambda one: one[0])
    kind = draw(st.sampled_from([SPOT, HOME, "x1.large"]))
    return InstanceUsage(ZONE, kind, draw(st.booleans()), start, end, tuple(changes))


@st.composite
def _series(draw: st.DrawFn) -> list[PricePeriod]:
    edges = sorted(draw(st.sets(_moment, min_size=1, max_size=6)))
    ends: list[datetime | None] = [*edges[1:], draw(st.none() | st.just(edges[-1] + HOUR))]
    found = [
        PricePeriod(a, b, draw(st.integers(1, 10**7)), draw(st.booleans())) for a, b in zip(edges, ends, strict=True)
    ]
    return draw(st.lists(st.sampled_from(found), unique=True, max_size=6).map(sorted))


_servers = st.lists(_rans(), max_size=4).map(lambda rans: server(*rans))
_prices = st.builds(lambda spot, usd: prices(spot, usd), _series(), st.sampled_from(["0.096", None]))


@given(_rans())
def test_stretches_cover_an_instances_time_once(one: InstanceUsage) -> None:
    found = list(role_stretches(one, T0, at(60)))
    start, end = max(one.from_at, T0), min(one.until_at or at(60), at(60))
    assert sum((part.until_at - part.from_at for part in found), timedelta()) == max(end - start, timedelta())
    assert all(a.until_at == b.from_at for a, b in pairwise(found))


@given(_servers, _prices)
def test_what_ran_is_priced_or_said_to_be_unpriced(one: ServerUsage, found: RegionPrices) -> None:
    amounts = hour(found, one)
    assert min(amounts) >= 0
    seconds = sum(
        (part.until_at - part.from_at for each in one.instances for part in role_stretches(each, T0, at(60))),
        timedelta(),
    ).total_seconds()
    assert 0 <= amounts.unpriced_s <= seconds
    if not found.on_demand:
        primaries = [
            p for each in one.instances for p in role_stretches(each, T0, at(60)) if p.role is PaidRole.PRIMARY
        ]
        assert amounts.unpriced_s >= sum((p.until_at - p.from_at for p in primaries), timedelta()).total_seconds()
        assert (amounts.primary, amounts.on_demand) == (0, 0)


@given(_servers, _prices)
def test_the_rounded_hour_is_within_a_millionth_of_the_exact_one(one: ServerUsage, found: RegionPrices) -> None:
    """Worked out another way: minute by minute, in fractions."""
    exact = Fraction(0)
    for each in one.instances:
        for minute in range(60):
            parts = list(role_stretches(each, at(minute), at(minute + 1)))
            if parts and parts[0].role is PaidRole.PRIMARY and found.on_demand:
                own = found.spot.get(each.pool, ()) if each.spot else found.on_demand.get(each.instance_type, ())
                exact += sum(Fraction(p.micro_usd, 60) for p in periods_within(own, at(minute), at(minute + 1)))
    assert abs(hour(found, one).primary - exact) <= Fraction(1, 2)


def _book(booked: BookedHour, found: Amounts, until: datetime) -> BookedHour:
    added = difference_entry(booked, found, until)
    if added is None:
        return booked
    assert added.number == booked.entries
    return BookedHour(
        booked.amounts.plus(added.amounts), max(booked.until_at or until, added.until_at), booked.entries + 1
    )


_clocks = st.lists(st.integers(1, 90), min_size=1, max_size=5)


@given(_servers, st.lists(_prices, min_size=1, max_size=4), _clocks, st.randoms(use_true_random=False))
def test_any_order_of_accruals_and_corrections_comes_to_a_fresh_accrual(
    one: ServerUsage, said: list[RegionPrices], clocks: list[int], random: Any
) -> None:
    booked = BookedHour()
    turns = [(found, clock) for found in said for clock in clocks]
    random.shuffle(turns)
    turns.append((said[-1], max(clocks)))  # the last look knows the last prices
    for found, clock in turns:
        until = booked_until(booked, T0 + HOUR, at(clock))
        booked = _book(booked, Accrual(found).amounts(one, T0, until), until)
    assert booked.amounts == Accrual(said[-1]).amounts(one, T0, min(T0 + HOUR, at(max(clocks))))


@given(_servers, _prices)
def test_the_same_accrual_again_adds_nothing(one: ServerUsage, found: RegionPrices) -> None:
    amounts = hour(found, one)
    booked = _book(BookedHour(), amounts, at(60))
    assert difference_entry(booked, amounts, at(60)) is None


_amounts = st.builds(Amounts, *[st.integers(-(10**12), 10**12)] * 7)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), _amounts), max_size=30))
def test_sums_agree_however_they_are_cut(entries: list[tuple[int, int, Amounts]]) -> None:
    everything = total(found for _, _, found in entries)
    for cut in (0, 1):
        groups = [total(one[2] for one in entries if one[cut] == key) for key in range(4)]
        assert total(groups) == everything
        assert sum(group.saved for group in groups) == everything.saved
    assert everything.on_demand - everything.cost == everything.saved


def test_time_not_booked_is_an_accrual_and_booked_time_that_changed_a_correction() -> None:
    first = difference_entry(BookedHour(), Amounts(primary=5), at(30))
    assert first == LedgerEntry(0, Amounts(primary=5), at(30), EntryReason.ACCRUAL)
    booked = BookedHour(Amounts(primary=5), at(30), 1)
    later = difference_entry(booked, Amounts(primary=9), at(60))
    assert later == LedgerEntry(1, Amounts(primary=4), at(60), EntryReason.ACCRUAL)
    late = difference_entry(booked, Amounts(primary=4), at(30))
    assert late == LedgerEntry(1, Amounts(primary=-1), at(30), EntryReason.CORRECTION)
    assert difference_entry(BookedHour(), NOTHING, at(60)) is None


def test_a_late_clock_does_not_take_back_what_is_booked() -> None:
    booked = BookedHour(Amounts(primary=5), at(45), 1)
    assert booked_until(booked, at(60), at(30)) == at(45)
    assert booked_until(booked, at(60), at(70)) == at(60)
