"""What a model may know of a pool. Each feature is a named number that is computed from the offer alone.

Prices come from the canonical series, the rest from the pool's reliability record. Ages are cut off at a month.
A feature never changes its meaning once it has a name: models are registered with the names of their features.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from domain.autopilot.decision_inputs import Offer

MOST_H = 720.0
PRIOR_LOSSES = 4.0
PRIOR_CHANGES, PRIOR_SIZE = 4.0, 0.005

FEATURES: Mapping[str, Callable[[Offer], float]] = {
    "log_up_h": lambda offer: math.log(min(offer.reliability.up_h, MOST_H) + 0.15),
    "own_record": lambda offer: math.log(offer.reliability.factor(PRIOR_LOSSES)),
    "losses": lambda offer: offer.reliability.losses,
    "absence": lambda offer: 1 - offer.reliability.availability,
    "tightness": lambda offer: offer.tightness,
    "seen": lambda offer: offer.reliability.seen_share,
    "price_changes": lambda offer: math.log1p(offer.price.changes),
    "typical_change": lambda offer: offer.price.typical_change(PRIOR_CHANGES, PRIOR_SIZE),
}


def feature_rows(offers: Sequence[Offer], names: Sequence[str]) -> list[list[float]]:
    """One row for each offer, with its features in the order of the names. Raise KeyError for an unknown name."""
    chosen = [FEATURES[name] for name in names]
    return [[of(offer) for of in chosen] for offer in offers]
