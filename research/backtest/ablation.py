"""What each part of the policy contributes: the policy without that part, over all sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import mean

from domain.autopilot.pool_records import HazardShape
from domain.autopilot.tuning import Tuning
from research.backtest.availability import PolicyResult

WHOLE = "whole policy"
NONE = 1e9  # a threshold that nothing reaches, a weight that no evidence moves
CONSTANT = HazardShape(scale=0.15, offset_h=1.0, power=0.02)  # the mean of all series' first halves, at every age


def without_parts(tuning: Tuning) -> dict[str, Tuning]:
    """Parameters that switch one part off, by the name of that part."""
    return {
        WHOLE: tuning,
        "hazard by age (a constant one)": replace(tuning, shape=CONSTANT),
        "a pool's own record": replace(tuning, own=0.0),
        "a pool's absence": replace(tuning, absence=0.0),
        "what its region does": replace(tuning, tight=0.0),
        "caution (none)": replace(tuning, caution_losses=NONE, caution_deviations=0.0),
        "caution's deviations (the mean)": replace(tuning, caution_deviations=0.0),
        "a try at once after a loss": replace(tuning, at_once=False),
        "doubt of gains in risk": replace(tuning, risk_believed=1.0),
        "moves between spot pools": replace(tuning, noise=NONE),
    }


def without_price_parts(tuning: Tuning) -> dict[str, Tuning]:
    return {
        WHOLE: tuning,
        "usual change (noise gate)": replace(tuning, noise=0.0),
        "payback with margin": replace(tuning, margin=0.0),
        "both": replace(tuning, noise=0.0, margin=0.0),
        "moves between spot pools": replace(tuning, noise=NONE),
    }


@dataclass(frozen=True)
class Ablation:
    """The policy without one part, at one weight. J is relative to always on-demand."""

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
