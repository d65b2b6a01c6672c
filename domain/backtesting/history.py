"""A client's own history, as it is handed to the replay: plain values, so that it can go to a process of its own.

Hours count from the first moment of the record; the period that is judged begins at `warm_h`, after which the pools'
records say something.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.autopilot.policy import AutopilotPolicy
from domain.deciding.facts import Needs

LOST_FOR_H = 1.0  # a pool that took an instance back, or had none, is taken as down for so long, or until one runs


@dataclass(frozen=True)
class PoolPast:
    """`steps`: (hour, USD per hour) from which each price holds. `down`: (from, until) hours."""

    pool: str
    region: str
    steps: list[tuple[float, float]]
    down: list[tuple[float, float]] = field(default_factory=list)
    prior_per_h: float = 0.0  # losses as published; 0: not known


@dataclass(frozen=True)
class ServerPast:
    """`pool`: where it was when the period began; spot or on-demand."""

    server_id: str
    name: str
    pool: str


@dataclass(frozen=True)
class KindPast:
    """Servers that are decided alike: the same needs, policy and possible pools (by index into the pools)."""

    needs: Needs
    policy: AutopilotPolicy
    pools: list[int]
    servers: list[ServerPast]


@dataclass(frozen=True)
class Model:
    """A registered model, to be replayed beside the built-in policy. `content`: base64."""

    name: str
    content: str
    features: list[str]
    sha256: str


@dataclass(frozen=True)
class Past:
    """`began`: UTC, ISO 8601, of hour 0. `gap_h`: how often is decided. `skipped`: servers left out, and why."""

    began: str
    warm_h: float
    hours: float
    gap_h: float
    pools: list[PoolPast]
    kinds: list[KindPast]
    skipped: dict[str, str] = field(default_factory=dict)
    model: Model | None = None
