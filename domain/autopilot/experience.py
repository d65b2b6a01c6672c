"""How well losses were foreseen so far, and how cautious the policy is because of it.

An imaginary server is put into every pool whose risk is about worth taking, and stays until the pool is lost.
Its losses against those foreseen say how much the market differs from what is known of markets. The result is a gamma
posterior; the policy takes its mean plus some standard deviations. So caution is large where little was seen (as for
owners to whom only very old pools are safe), and falls or grows with evidence. Servers with the same needs share it,
and it is kept from one pass of the autopilot to the next.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from domain.autopilot.appraisal import RatedOffer, caution
from domain.autopilot.decision_inputs import Needs
from domain.autopilot.pool_supply import Supply
from domain.autopilot.tuning import Tuning


@dataclass(frozen=True, slots=True)
class Experience:
    """`held`: by pool, the losses per hour foreseen for the imaginary servers. Both counts decay."""

    at_h: float
    losses: float = 0.0
    expected: float = 0.0
    held: Mapping[str, float] = field(default_factory=dict)

    def caution(self, tuning: Tuning) -> float:
        """The factor by which the foreseen risk is multiplied."""
        return caution(tuning, self.losses, self.expected)


def learn(before: Experience, rated: Sequence[RatedOffer], needs: Needs, at_h: float, tuning: Tuning) -> Experience:
    """Add one observation of the market. A pool that has left the market is not a loss."""
    passed = at_h - before.at_h
    fade = math.exp(-passed / tuning.caution_memory_h)
    lost = sum(1 for one in rated if not one.up and one.pool in before.held)
    foreseen = passed * sum(before.held.values())
    return Experience(
        at_h=at_h,
        losses=fade * before.losses + lost,
        expected=fade * before.expected + foreseen,
        held={one.pool: one.hazard_per_h for one in _worth_holding(rated, before.held, needs, tuning)},
    )


def _worth_holding(
    rated: Iterable[RatedOffer], held: Mapping[str, float], needs: Needs, tuning: Tuning
) -> Iterable[RatedOffer]:
    """Pools to hold: held ones that are up, and those whose risk is about worth their saving."""
    loss_usd, reach = needs.loss_usd, tuning.caution_reach
    return (
        one
        for one in rated
        if one.up and (one.pool in held or one.hazard_per_h * loss_usd < reach * (needs.on_demand_usd - one.price_usd))
    )


UNOBSERVED_H = 1.0  # after a longer time without an observation nobody knows what was lost in it


def needs_in_words(region: str, platform: str, needs: Needs) -> dict[str, str | float | None]:
    """What caution depends on. Servers that are equal in this learn together."""
    return {
        "region": region,
        "platform": platform,
        "on_demand_usd": round(needs.on_demand_usd, 6) if math.isfinite(needs.on_demand_usd) else None,
        "outage_usd_per_h": round(needs.outage_usd_per_h, 6),
        "loss_outage_h": round(needs.loss_outage_h, 6),
        "overlap_h": round(needs.beyond.overlap_h, 6),
    }


def experience_key(region: str, platform: str, needs: Needs) -> str:
    words = "\x1f".join(f"{name}={value}" for name, value in needs_in_words(region, platform, needs).items())
    return hashlib.sha256(words.encode()).hexdigest()[:40]


def learn_from_watched(
    before: Experience | None, rated: Sequence[RatedOffer], supply: Supply, needs: Needs, at_h: float, tuning: Tuning
) -> Experience:
    """Add one observation, but only of pools where we would see a loss: an instance of ours runs there, or ran there
    until it was lost."""
    known = before or Experience(at_h)
    if at_h < known.at_h:  # another pass has learnt later than this: keep that
        return known
    if at_h - known.at_h > UNOBSERVED_H:
        known = replace(known, held={})
    seen = [
        replace(one, up=False) if one.pool in supply.down else one
        for one in rated
        if one.pool in supply.down or one.pool in supply.known.watched
    ]
    return learn(known, seen, needs, at_h, tuning)
