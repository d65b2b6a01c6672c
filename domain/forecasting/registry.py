"""A registered model's life: in shadow, deciding for some clients, retired."""

from __future__ import annotations

from enum import StrEnum

MOST_IN_SHADOW = 5  # each is asked in every pass of the autopilot
PROOF_DAYS = 7.0  # a backtest that speaks for a model covers so many days at least, and is no older than a month
PROOF_AGE_DAYS = 31.0


class ForecasterState(StrEnum):
    SHADOW = "shadow"  # its decisions are made beside; for clients that it was activated for, it informs them
    RETIRED = "retired"  # is run for nobody
