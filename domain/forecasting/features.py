"""What a model may know of a pool: each feature a number with a name, of the offer alone.

Prices come from the canonical series, the rest from the pool's reliability record; ages are cut at a month.
A feature, once named, never changes its meaning: models are registered with the names of what they take.
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
    """One row for each offer, its features in the order of the names. Raise KeyError of a name that is none."""
    chosen = [FEATURES[name] for name in names]
    return [[of(offer) for of in chosen] for offer in offers]
