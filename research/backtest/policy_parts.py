"""The policy's parts, each left out: what it contributes."""

from __future__ import annotations

from dataclasses import replace

from domain.autopilot.pool_records import HazardShape
from domain.autopilot.tuning import Tuning

WHOLE = "whole policy"
NONE = 1e9  # a threshold that nothing reaches, a weight that no evidence moves
CONSTANT = HazardShape(scale=0.15, offset_h=1.0, power=0.02)  # the mean of all series' first halves, at every age


def without_parts(tuning: Tuning) -> dict[str, Tuning]:
    """Parameters with which one part does nothing, by what is left out."""
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
