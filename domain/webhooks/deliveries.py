"""A delivery's course: tried, tried again later, and at last given up."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

# Seconds after each failed attempt; with the last one about three days have gone by.
DELAYS_S = (5, 30, 120, 600, 1800, 3600, 7200, 14400, 28800, 28800, 43200, 43200, 43200, 43200)
ATTEMPTS = len(DELAYS_S) + 1
DISABLE_AFTER = timedelta(days=5)  # of nothing but failures
GONE = 410  # the receiver wants no more, ever


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up after the last attempt
    DROPPED = "dropped"  # its webhook was paused, disabled or deleted


def is_delivered(code: int | None) -> bool:
    return code is not None and 200 <= code < 300


def next_delay(attempts: int) -> timedelta | None:
    """Until the next attempt, after so many that failed; None: there is none."""
    return timedelta(seconds=DELAYS_S[attempts - 1]) if attempts <= len(DELAYS_S) else None
