"""How well losses were foreseen in the pools the policy would have been in, and how cautious to be.

A server on paper is put into every pool whose risk is about worth taking, and stays until it is lost.
Its losses against those foreseen say by how much the market differs from what is known of markets:
a gamma posterior, of which not the mean but so many standard deviations above it are reckoned with.
So caution is large where little was seen, as for owners to whom only very old pools are safe, and
fades, or grows, with evidence. The same for all servers with the same needs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.autopilot.appraisal import RatedOffer, caution
from domain.autopilot.decision_inputs import Needs
from domain.autopilot.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Experience:
    """`held`: losses per hour foreseen for the servers on paper, by pool. Both counts decay."""

    at_h: float
    losses: float = 0.0
    expected: float = 0.0
    held: Mapping[str, float] = field(default_factory=dict)

    def caution(self, tuning: Tuning) -> float:
        """How many times the foreseen risk to reckon with."""
        return caution(tuning, self.losses, self.expected)


def learn(before: Experience, rated: Sequence[RatedOffer], needs: Needs, at_h: float, tuning: Tuning) -> Experience:
    """With one more look at the market; a pool that is not in it any more is no loss."""
    passed = at_h - before.at_h
    fade = math.exp(-passed / tuning.caution_memory_h)
    lost = sum(1 for one in rated if not one.up and one.pool in before.held)
    foreseen = passed * sum(before.held.values())
    return Experience(
        at_h=at_h,
        losses=fade * before.losses + lost,
        expected=fade * before.expected + foreseen,
        held={one.pool: one.hazard_per_h for one in _worth(rated, before.held, needs, tuning)},
    )


def _worth(
    rated: Iterable[RatedOffer], held: Mapping[str, float], needs: Needs, tuning: Tuning
) -> Iterable[RatedOffer]:
    """Those held that are up, and those whose risk is about worth their saving."""
    loss_usd, reach = needs.loss_usd, tuning.caution_reach
    return (
        one
        for one in rated
        if one.up and (one.pool in held or one.hazard_per_h * loss_usd < reach * (needs.on_demand_usd - one.price_usd))
    )
