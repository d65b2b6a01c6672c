"""A client's servers and the market they lived in, as the replay takes them: canonical prices, reliability records."""

from __future__ import annotations

import base64
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from activities.autopilot.facts import Facts, Known
from activities.autopilot.offers import UNKNOWN_BAND, hazard_of_band
from db.backtests import places_at
from db.market.beliefs import bands_of
from db.market.reading import region_between
from db.market.reliability import pool_facts_since
from db.models import BacktestRow, ModelRow
from db.queries import autopilot as reading
from db.session import SessionFactory
from domain.autopilot.evaluation import Case
from domain.autopilot.policy import Wish, resolve
from domain.backtesting.history import LOST_FOR_H, KindPast, Model, Past, PoolPast, ServerPast
from domain.market.canonical import Step
from domain.market.observed import PoolKey
from domain.market.pool_facts import FactKind, PoolFact
from domain.pools import Lifecycle, Pool

WARM = timedelta(days=14)  # records grow for so long before the period that is judged
MOST_POOLS = 150  # of a kind of server: the cheapest
TICKS = 3000.0  # about so many of the period; between five minutes and an hour each
_GAPS_H = (1 / 12, 0.25, 0.5, 1.0)
_TAKES_AWAY = frozenset({FactKind.LOST, FactKind.NOTICE, FactKind.NO_CAPACITY})
_WISH = TypeAdapter(Wish)


class NothingToReplay(Exception):
    """No prices, or no servers, in this time; the message says which."""


def gather(sessions: SessionFactory, facts: Facts, row: BacktestRow) -> Past:
    """Everything the replay needs. Raise NothingToReplay, or Ec2Failure where EC2 does not tell."""
    began = row.from_at - WARM
    past = Past(
        began=began.isoformat(),
        warm_h=WARM.total_seconds() / 3600,
        hours=(row.until_at - began).total_seconds() / 3600,
        gap_h=_gap_h(row.until_at - row.from_at),
        pools=[],
        kinds=[],
        model=_model(sessions, row.model_id),
    )
    with sessions() as session:
        fleet = [one for one in reading.fleet(session) if one.server_id in set(row.server_ids)]
        clients = reading.clients(session)
        places = places_at(session, row.server_ids, row.from_at)
    mine = [one for one in fleet if one.client_id == row.client_id]
    if not mine:
        raise NothingToReplay("none of the servers is active any more")
    for region in sorted({one.region for one in mine}):
        here = [one for one in mine if one.region == region]
        known = [_asked(one, row.asked, clients) for one in facts.known(region, here, clients)]
        with sessions() as session:
            _region(session, facts, region, known, places, past, row)
    if not past.pools:
        raise NothingToReplay(
            f"there are no spot prices of {', '.join(sorted({one.region for one in mine}))} "
            f"from {row.from_at:%Y-%m-%d %H:%M} to {row.until_at:%Y-%m-%d %H:%M} UTC"
        )
    return past


def _asked(one: Known, asked: Mapping[str, Any], clients: Mapping[str, reading.ClientRow]) -> Known:
    """The server with the policy that was asked for over its own."""
    if not asked:
        return one
    own, client = one.policy.autopilot, clients.get(one.row.client_id)
    wish = _WISH.validate_python({**_WISH.dump_python(own), **asked})
    of_client = _WISH.validate_python((client.autopilot if client else None) or {})
    return replace(one, autopilot=resolve(wish, of_client))


def _region(
    session: Session,
    facts: Facts,
    region: str,
    known: Sequence[Known],
    places: Mapping[str, str],
    past: Past,
    row: BacktestRow,
) -> None:
    """Adds the region's pools and kinds to the past."""
    began = datetime.fromisoformat(past.began)
    series = region_between(session, region, began, row.until_at)
    latest = {pool: float(steps[-1].usd) for pool, steps in series.items() if steps}
    down = _down(pool_facts_since(session, region, began, row.until_at), began)
    bands = bands_of(session, region, row.from_at)
    cases = facts.cases(region, known, latest, {}, {})
    numbers: dict[str, int] = {}
    grouped: defaultdict[tuple[Any, ...], list[Case]] = defaultdict(list)
    for case in cases:
        if not math.isfinite(case.needs.on_demand_usd):
            past.skipped[case.server_id] = f"the on-demand price of {case.needs.on_demand_pool} is not known"
            continue
        grouped[case.needs, case.pools, repr(case.standing.policy)].append(case)
    names = {one.row.server_id: one.row.name for one in known}
    for (needs, pools, _), members in grouped.items():
        wanted = _cheapest(pools | _starts(members, places), latest)
        for pool in wanted:
            if pool not in numbers:
                numbers[pool] = len(past.pools)
                past.pools.append(_pool(pool, region, series, down, bands, began))
        servers = [
            ServerPast(one.server_id, names[one.server_id], places.get(one.server_id, one.placed.pool))
            for one in members
        ]
        policy = members[0].standing.policy
        past.kinds.append(KindPast(needs, policy, [numbers[pool] for pool in wanted], servers))


def _starts(members: Iterable[Case], places: Mapping[str, str]) -> frozenset[str]:
    return frozenset(places.get(one.server_id, one.placed.pool) for one in members)


def _cheapest(pools: Iterable[str], latest: Mapping[PoolKey, float]) -> list[str]:
    """Those with a price, as far as there is room; sorted by name, so that the same facts are replayed the same."""
    priced = [(latest[_key(pool)], pool) for pool in pools if pool.endswith("/spot") and _key(pool) in latest]
    return sorted(pool for _, pool in sorted(priced)[:MOST_POOLS])


def _pool(
    pool: str,
    region: str,
    series: Mapping[PoolKey, Sequence[Step]],
    down: Mapping[str, list[tuple[float, float]]],
    bands: Mapping[str, int],
    began: datetime,
) -> PoolPast:
    steps = [(max(0.0, _hours(began, step.from_at)), float(step.usd)) for step in series[_key(pool)]]
    band = bands.get(Pool.parse(pool).instance_type, UNKNOWN_BAND)
    return PoolPast(pool, region, steps, down.get(pool, []), hazard_of_band(band))


def _down(facts: Iterable[PoolFact], began: datetime) -> dict[str, list[tuple[float, float]]]:
    """From each loss, notice and refusal for an hour, or until an instance was launched there."""
    found: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for fact in facts:
        at, spans = _hours(began, fact.at), found[str(fact.pool)]
        if fact.kind in _TAKES_AWAY:
            spans.append((at, at + LOST_FOR_H))
        elif fact.kind is FactKind.LAUNCHED:
            found[str(fact.pool)] = [(begin, min(end, max(begin, at))) for begin, end in spans]
    return dict(found)


def _key(pool: str) -> PoolKey:
    parsed = Pool.parse(pool)
    assert parsed.lifecycle is Lifecycle.SPOT
    return parsed.zone, parsed.instance_type


def _hours(began: datetime, at: datetime) -> float:
    return (at - began).total_seconds() / 3600


def _gap_h(period: timedelta) -> float:
    least = period.total_seconds() / 3600 / TICKS
    return next((gap for gap in _GAPS_H if gap >= least), _GAPS_H[-1])


def _model(sessions: SessionFactory, model_id: str) -> Model | None:
    if not model_id:
        return None
    with sessions() as session:
        row = session.get_one(ModelRow, model_id)
        return Model(row.id, base64.b64encode(row.content).decode(), list(row.features), row.sha256)
