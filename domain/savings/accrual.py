"""What an hour of a server comes to, from what ran and what it cost then. Exact until it is rounded once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from domain.savings.amounts import MICRO_PER_USD, Amounts, rounded
from domain.savings.price_periods import PricePeriod, RegionPrices, periods_within
from domain.savings.server_usage import InstanceUsage, PaidRole, RoleStretch, ServerUsage, role_stretches

HOUR = timedelta(hours=1)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
# EBS snapshots, standard tier: 0.05 USD per GiB and month of 730 hours (the price of most regions).
SNAPSHOT_MICRO_USD_PER_GIB_MONTH = MICRO_PER_USD // 20
MONTH_H = 730

# Cost and comparison in micro-dollars per hour times microseconds; priced and filled time in microseconds.
StretchAmounts = tuple[int, int, int, int]


def hour_start(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


class Accrual:
    """A region's prices, asked for the same stretches of many servers: each answer is worked out once."""

    def __init__(self, prices: RegionPrices) -> None:
        self._prices = prices
        self._known: dict[tuple[object, ...], StretchAmounts] = {}

    def amounts(self, server: ServerUsage, from_at: datetime, until_at: datetime) -> Amounts:
        """What the time from `from_at` (an hour's start) to `until_at` (at most its end) comes to."""
        costs: defaultdict[PaidRole, int] = defaultdict(int)
        on_demand = unpriced = filled = 0
        for ran in server.instances:
            for stretch in role_stretches(ran, from_at, until_at):
                against = server.home_type if stretch.role is PaidRole.PRIMARY else ""
                cost, would_have, priced_us, filled_us = self._figures(ran, against, stretch)
                costs[stretch.role] += cost
                on_demand += would_have
                unpriced += (stretch.until_at - stretch.from_at) // _MICROSECOND - priced_us
                filled += filled_us
        return Amounts(
            primary=rounded(costs[PaidRole.PRIMARY]),
            replica=rounded(costs[PaidRole.REPLICA]),
            overlap=rounded(costs[PaidRole.OVERLAP]),
            snapshot=rounded(_kept(server, from_at, until_at)),
            on_demand=rounded(on_demand),
            unpriced_s=unpriced // _SECOND_US,
            filled_s=filled // _SECOND_US,
        )

    def _figures(self, ran: InstanceUsage, against: str, stretch: RoleStretch) -> StretchAmounts:
        key = (ran.pool, ran.spot, against, stretch.from_at, stretch.until_at)
        found = self._known.get(key)
        if found is None:
            own = self._prices.spot.get(ran.pool, ()) if ran.spot else self._on_demand(ran.instance_type)
            found = self._known[key] = _held_against(own, self._on_demand(against) if against else None, stretch)
        return found

    def _on_demand(self, name: str) -> Sequence[PricePeriod]:
        return self._prices.on_demand.get(name, ())


def _held_against(
    own: Sequence[PricePeriod], home: Sequence[PricePeriod] | None, stretch: RoleStretch
) -> StretchAmounts:
    """`home` None: held against nothing, as a replica would not be there on-demand."""
    cost = would_have = priced = filled = 0
    for piece in periods_within(own, stretch.from_at, stretch.until_at):
        assert piece.until_at is not None
        both = [piece] if home is None else list(periods_within(home, piece.from_at, piece.until_at))
        for part in both:
            assert part.until_at is not None
            length = (part.until_at - part.from_at) // _MICROSECOND
            cost += piece.micro_usd * length
            would_have += part.micro_usd * length if home is not None else 0
            priced += length
            filled += length if piece.filled else 0
    return cost, would_have, priced, filled


def _kept(server: ServerUsage, from_at: datetime, until_at: datetime) -> int:
    total = 0
    for one in server.snapshots:
        start, end = max(one.from_at, from_at), until_at if one.until_at is None else min(one.until_at, until_at)
        if start < end:
            total += one.gib * SNAPSHOT_MICRO_USD_PER_GIB_MONTH * ((end - start) // _MICROSECOND)
    return total // MONTH_H
