"""One pass over a fleet: for every server a decision, what its policy makes of it, and the figures behind it.

Servers with the same needs and the same possible pools share one appraisal of the market, so that ten thousand
servers cost little more than their kinds do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from domain.autopilot.limits import FleetLimits
from domain.autopilot.verdict import Gate, Standing, Verdict, judge
from domain.deciding.appraisal import Appraisal, appraise
from domain.deciding.decision import Decision, Kind
from domain.deciding.facts import Needs, Offer, Placement
from domain.deciding.policy import decide
from domain.deciding.tuning import DEFAULT, Tuning
from domain.pools import Pool

_SHOWN = 5  # candidates whose figures are kept with a decision
NOT_ALLOWED = "the server's policy or network does not allow it"


@dataclass(frozen=True)
class Case:
    """A server to decide for. `pools`: where it may go."""

    server_id: str
    client_id: str
    placed: Placement
    needs: Needs
    pools: frozenset[str]
    standing: Standing


@dataclass(frozen=True)
class Room:
    """How many operations of the autopilot may still be started: over all, and by client."""

    over_all: int
    limits: Mapping[str, FleetLimits] = field(default_factory=dict)
    under_way: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Judged:
    case: Case
    verdict: Verdict
    market: Appraisal


def evaluate(
    cases: Sequence[Case],
    offers: Mapping[str, Offer],
    at_h: float,
    now: datetime,
    room: Room,
    tuning: Tuning = DEFAULT,
) -> list[Judged]:
    """In the order of the cases. `at_h`: `now` in the hours of the offers' records."""
    markets = _markets(cases, offers, at_h, tuning)
    judged = [_judged(case, markets[case.needs, case.pools], now, tuning) for case in cases]
    return _within(judged, room)


def figures(one: Judged) -> dict[str, Any]:
    """What the decision was made on, and what it came to. USD and hours; JSON."""
    decision, needs = one.verdict.decision, one.case.needs
    return {
        "cost_now_usd_per_h": _number(decision.cost_now_usd),
        "cost_then_usd_per_h": _number(decision.cost_then_usd),
        "gain_usd_per_h": _number(decision.gain_usd),
        "move_usd": _number(decision.move_usd),
        "payback_h": _number(decision.payback_h),
        "on_demand_usd_per_h": _number(needs.on_demand_usd),
        "outage_usd_per_h": _number(needs.outage_usd_per_h),
        "loss_usd": _number(needs.loss_usd),
        "since_h": _number(one.market.at_h - one.case.placed.since_h),
        "here": _shown(one.market, one.case.placed.pool),
        "candidates": [
            _shown(one.market, candidate.pool)
            for candidate in one.market.ranked[: _SHOWN + 1]
            if candidate.pool != one.case.placed.pool
        ][:_SHOWN],
    }


def _markets(
    cases: Iterable[Case], offers: Mapping[str, Offer], at_h: float, tuning: Tuning
) -> dict[tuple[Needs, frozenset[str]], Appraisal]:
    """One appraisal for each kind of server: its possible pools, and those its members are in now."""
    members: dict[tuple[Needs, frozenset[str]], set[str]] = {}
    for case in cases:
        members.setdefault((case.needs, case.pools), set()).add(case.placed.pool)
    return {
        (needs, pools): appraise(_seen(pools, here, offers), needs, at_h, tuning)
        for (needs, pools), here in members.items()
    }


def _seen(pools: frozenset[str], here: set[str], offers: Mapping[str, Offer]) -> list[Offer]:
    found = [offers[pool] for pool in sorted(pools) if pool in offers]
    elsewhere = [offers[pool] for pool in sorted(here - pools) if pool in offers]
    return found + [replace(offer, blocked=offer.blocked or NOT_ALLOWED) for offer in elsewhere]


def _judged(case: Case, market: Appraisal, now: datetime, tuning: Tuning) -> Judged:
    return Judged(case, judge(decide(case.placed, market, tuning), case.standing, now), market)


def _within(judged: Sequence[Judged], room: Room) -> list[Judged]:
    """The most urgent and the most saving first, as far as there is room; the rest is held."""
    places = _Places(judged, room.limits)
    left, under_way = room.over_all - sum(room.under_way.values()), Counter(room.under_way)
    held = list(judged)
    turns = sorted((i for i, one in enumerate(judged) if one.verdict.acts), key=lambda i: _turn(judged[i]))
    for index in turns:
        one = judged[index]
        client = one.case.client_id
        most = room.limits.get(client, FleetLimits()).moves_at_once or room.over_all
        if not places.take(one):
            held[index] = _hold(one, Gate.CROWDED)
        elif one.verdict.ask_first:
            continue  # a proposal starts nothing yet
        elif left < 1 or under_way[client] >= most:
            places.leave(one)
            held[index] = _hold(one, Gate.FLEET_LIMIT)
        else:
            left, under_way[client] = left - 1, under_way[client] + 1
    return held


def _turn(one: Judged) -> tuple[int, float, str]:
    return -int(one.verdict.priority), -one.verdict.decision.gain_usd, one.case.server_id


def _hold(one: Judged, gate: Gate) -> Judged:
    return replace(one, verdict=replace(one.verdict, gate=gate))


class _Places:
    """Who is where, by client, while moves are handed out."""

    def __init__(self, judged: Sequence[Judged], limits: Mapping[str, FleetLimits]) -> None:
        self._limits = limits
        self._servers = Counter(one.case.client_id for one in judged)
        self._in: Counter[tuple[str, str]] = Counter()
        for one in judged:
            self._count(one.case.client_id, one.case.placed.pool, 1)

    def take(self, one: Judged) -> bool:
        """Move the server in the counts, if its client's limits allow it. Leaving spot is always allowed."""
        client, here, there = one.case.client_id, one.case.placed.pool, one.verdict.decision.pool
        if one.verdict.decision.kind is not Kind.MOVE:
            return True
        limits, servers = self._limits.get(client, FleetLimits()), self._servers[client]
        self._count(client, here, -1)
        if self._fits(client, there, limits, servers):
            self._count(client, there, 1)
            return True
        self._count(client, here, 1)
        return False

    def leave(self, one: Judged) -> None:
        if one.verdict.decision.kind is Kind.MOVE:
            self._count(one.case.client_id, one.verdict.decision.pool, -1)
            self._count(one.case.client_id, one.case.placed.pool, 1)

    def _fits(self, client: str, pool: str, limits: FleetLimits, servers: int) -> bool:
        return (
            self._in[client, pool] + 1 <= max(1, math.floor(limits.most_per_pool * servers))
            and self._in[client, Pool.parse(pool).zone] + 1 <= max(1, math.floor(limits.most_per_zone * servers))
            and self._in[client, "on-demand"] >= math.ceil(limits.least_on_demand * servers)
        )

    def _count(self, client: str, pool: str, change: int) -> None:
        place = Pool.parse(pool)
        self._in[client, pool if place.spot else "on-demand"] += change
        if place.spot:
            self._in[client, place.zone] += change


def _shown(market: Appraisal, pool: str) -> dict[str, Any]:
    found = market.by_pool.get(pool)
    if found is None:
        return {"pool": pool}
    return {
        "pool": pool,
        "usd_per_h": _number(found.price_usd),
        "losses_per_h": _number(found.hazard_per_h),
        "cost_usd_per_h": _number(found.cost_usd),
        "entry_usd_per_h": _number(found.entry_usd),
        "up": found.up,
        "blocked": found.blocked,
    }


def _number(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None


def describe(decision: Decision) -> str:
    """The decision in a short form for counts: "move/cheaper"."""
    return f"{decision.kind.value}/{decision.reason.value}"
