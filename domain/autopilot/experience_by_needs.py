"""Caution that is learnt, kept for each kind of needs in a region from one pass of the autopilot to the next."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace

from domain.autopilot.appraisal import RatedOffer
from domain.autopilot.decision_inputs import Needs
from domain.autopilot.experience import Experience, learn
from domain.autopilot.pool_supply import Supply
from domain.autopilot.tuning import Tuning

UNOBSERVED_H = 1.0  # after a longer time without a look nobody knows what was lost in it


def needs_in_words(region: str, platform: str, needs: Needs) -> dict[str, str | float | None]:
    """What caution depends on: servers that differ in nothing else learn together."""
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
    """With one more look. Only pools in which a loss would be seen are learnt from: where an instance of ours runs,
    or ran until it was lost."""
    known = before or Experience(at_h)
    if at_h < known.at_h:  # another pass was here before: what it has learnt holds
        return known
    if at_h - known.at_h > UNOBSERVED_H:
        known = replace(known, held={})
    seen = [
        replace(one, up=False) if one.pool in supply.down else one
        for one in rated
        if one.pool in supply.down or one.pool in supply.known.watched
    ]
    return learn(known, seen, needs, at_h, tuning)
