"""Confidence intervals by bootstrap: parts of the data are drawn again, with replacement.

What is drawn has to be independent. Windows of seven days that begin at random overlap, so not windows
are drawn but the days they are made of, two at a time since one bad day follows another; of prices, groups.
Policies are compared in pairs, on the same draws.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

DRAWS = 1000
SEED = 20230215
DAYS = 2


@dataclass(frozen=True)
class Estimate:
    """A value with the interval that holds it in 95 % of the draws."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def ratio(above: Sequence[float], below: Sequence[float], block: int = 1) -> Estimate:
    """Sum over sum; pairs are drawn together, `block` neighbours at a time (the first follows the last)."""
    found = sorted(
        _quotient(sum(above[i] for i in drawn), sum(below[i] for i in drawn)) for drawn in _draws(len(above), block)
    )
    low, high = found[int(0.025 * DRAWS)], found[int(0.975 * DRAWS)]
    return Estimate(_quotient(sum(above), sum(below)), low, high)


@cache
def _draws(count: int, block: int) -> list[list[int]]:
    """Draws for so many items, from a fixed seed, so that the same data give the same interval."""
    chance = random.Random(SEED)  # noqa: S311 - not a secret
    blocks = -(-count // block)
    found = []
    for _ in range(DRAWS):
        starts = chance.choices(range(count), k=blocks)
        found.append([(start + step) % count for start in starts for step in range(block)][:count])
    return found


def _quotient(above: float, below: float) -> float:
    return above / below if below else 0.0
