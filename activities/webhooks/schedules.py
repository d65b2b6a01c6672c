"""The Temporal schedule of the webhooks' dispatch."""

from __future__ import annotations

from datetime import timedelta

from activities.schedules import Regular
from domain.webhooks import contract


def schedule(every: timedelta) -> Regular:
    return Regular("webhooks/dispatch", contract.DISPATCH_WORKFLOW, contract.Collect(), every, jitter=every / 10)
