"""What is known of a region's spot pools beside their prices: our own history, and AWS's words."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.market.pool_facts import pool_facts_since
from db.market.pool_history import stays_since
from db.market.pools import cooling_pools
from db.market.scores_and_bands import bands_of, scores_of_types
from domain.autopilot.pool_supply import COOL_DOWN_WHY, PoolKnowledge, hours, prior_of
from domain.market.pool_facts import PoolFact, PoolFactKind
from domain.market.pool_reliability import MEMORY_H, pool_reliability

_SCORES = timedelta(days=1)
_MOMENT = timedelta(microseconds=1)


def read_supply_facts(session: Session, region: str, now: datetime) -> PoolKnowledge:
    """What is known of the region's spot pools beside their prices."""
    since = now - timedelta(hours=MEMORY_H)
    facts: defaultdict[str, list[PoolFact]] = defaultdict(list)
    for fact in pool_facts_since(session, region, since, now + _MOMENT):
        facts[str(fact.pool)].append(fact)
    stays = stays_since(session, region, since, now)
    bands, at_h = bands_of(session, region, now), hours(now)
    return PoolKnowledge(
        cooling_down={
            row.id: f"{COOL_DOWN_WHY}: {row.cool_down_reason}" for row in cooling_pools(session, region, now)
        },
        histories={
            pool: pool_reliability(facts.get(pool, ()), stays.get(pool, ()), prior_of(bands.get(_type(pool))), at_h)
            for pool in sorted({*facts, *stays})
        },
        watched=frozenset(pool for pool, some in stays.items() if any(stay.until_h >= at_h for stay in some)),
        bands=bands,
        scores=scores_of_types(session, region, now - _SCORES, now),
        rebalanced={
            pool: at_h - hours(max(one.at for one in some if one.kind is PoolFactKind.REBALANCE))
            for pool, some in facts.items()
            if any(one.kind is PoolFactKind.REBALANCE for one in some)
        },
    )


def _type(pool: str) -> str:
    return pool.split("/")[1]
