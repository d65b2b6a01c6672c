"""A client's own history as the replay takes it: plain values, since the replay runs in a process of its own.

Times are hours since 1970, as in the policy's records.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from domain.autopilot.decision_inputs import Needs
from domain.autopilot.policy import AutopilotPolicy


@dataclass(frozen=True)
class PoolHistory:
    """`steps`: (hour, USD per hour) from which each price holds. `facts`: (kind, hour) of the reliability record,
    see domain.market.pool_reliability. `stays`: (from, until), when an instance of ours ran there."""

    pool: str
    steps: list[tuple[float, float]]
    facts: list[tuple[str, float]] = field(default_factory=list)
    stays: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class ServerHistory:
    """`pool`: where it was when the period began; spot or on-demand. `data_gib`: its data volumes, as they are now."""

    server_id: str
    name: str
    pool: str
    data_gib: int = 0


@dataclass(frozen=True)
class KindHistory:
    """Servers that are decided alike: the same needs, policy and possible pools."""

    needs: Needs
    policy: AutopilotPolicy
    pools: list[str]
    servers: list[ServerHistory]


@dataclass(frozen=True)
class RegionHistory:
    """A region's pools of one platform, and the client's servers there. `bands`: type -> the Spot Advisor's."""

    region: str
    platform: str
    pools: list[PoolHistory]
    kinds: list[KindHistory]
    bands: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ForecastModel:
    """A registered model, to be replayed beside the built-in policy. `content`: base64."""

    name: str
    content: str
    features: list[str]
    sha256: str


@dataclass(frozen=True)
class ReplayHistory:
    """From `from_h` to `until_h`, decided every `gap_h`. `skipped`: servers left out, and why. `left_out`: by server,
    what is not in its figures, and why."""

    from_h: float
    until_h: float
    gap_h: float
    regions: list[RegionHistory]
    skipped: dict[str, str] = field(default_factory=dict)
    model: ForecastModel | None = None
    left_out: dict[str, str] = field(default_factory=dict)
