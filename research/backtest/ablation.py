"""What each part of the policy contributes, over all sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from research.backtest.availability import PolicyResult


@dataclass(frozen=True)
class Ablation:
    """The policy without one part, at one weight. J is against always on-demand."""

    part: str
    regrets: Mapping[str, float]  # by set
    mean_j: float
    worst_j: float


def by_part(results: Sequence[PolicyResult]) -> list[Ablation]:
    found = []
    for part in dict.fromkeys(one.policy for one in results):
        own = [one for one in results if one.policy == part]
        shares = [one.j.value for one in own]
        regrets = {one.market: one.regret.value for one in own}
        found.append(Ablation(part, regrets, mean(shares), max(shares)))
    return found
