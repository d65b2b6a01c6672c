"""The Temporal schedule of the webhooks' dispatch."""

from __future__ import annotations

from datetime import timedelta

from activities.schedules import ScheduledWorkflow
from domain.webhooks import contract


def schedule(every: timedelta) -> ScheduledWorkflow:
    return ScheduledWorkflow(
        "webhooks/dispatch", contract.DISPATCH_WORKFLOW, contract.CollectEventsInput(), every, jitter=every / 10
    )
