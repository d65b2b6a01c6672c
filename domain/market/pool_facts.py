"""A pool's reliability record: what we lived through in it, one fact at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.pools import Pool


class PoolFactKind(StrEnum):
    NO_CAPACITY = "no_capacity"  # a launch was refused
    LAUNCHED = "launched"  # `seconds` from the request until it ran
    NOTICE = "notice"  # an interruption was announced
    REBALANCE = "rebalance"  # a rebalance recommendation
    LOST = "lost"  # an instance ended that nobody of ours ended


@dataclass(frozen=True, slots=True)
class PoolFact:
    """`fact_id` names what happened, so that it is written once: a notice's ID, an attempt's client token."""

    fact_id: str
    region: str
    pool: Pool
    kind: PoolFactKind
    at: datetime
    seconds: float | None = None
