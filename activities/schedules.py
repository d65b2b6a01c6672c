"""A Temporal schedule: made, or brought up to date, when a worker starts."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from domain.names import CONTROL_QUEUE

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScheduledWorkflow:
    """A workflow that starts at an interval, with some jitter. It never overlaps itself.

    `longest`: a run that takes longer is ended, since the next one would wait for it. None: it has limits of its own.
    """

    schedule_id: str
    workflow: str
    argument: object
    every: timedelta
    jitter: timedelta
    longest: timedelta | None = None

    def schedule(self) -> Schedule:
        return Schedule(
            action=ScheduleActionStartWorkflow(
                self.workflow,
                self.argument,
                id=self.schedule_id,
                task_queue=CONTROL_QUEUE,
                execution_timeout=self.longest,
            ),
            spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=self.every)], jitter=self.jitter),
            # Runs that were missed while everything was down are not made up for: the next run sees all there is.
            policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(seconds=10)),
        )


async def ensure_schedule(client: Client, regular: ScheduledWorkflow) -> None:
    """Make the schedule, or bring it up to date. It stays paused if people paused it."""
    try:
        await client.create_schedule(regular.schedule_id, regular.schedule())
    except ScheduleAlreadyRunningError:

        def update(found: ScheduleUpdateInput) -> ScheduleUpdate:
            schedule = regular.schedule()
            schedule.state = found.description.schedule.state
            return ScheduleUpdate(schedule)

        await client.get_schedule_handle(regular.schedule_id).update(update)
    log.info("%s runs every %s", regular.workflow, regular.every)
