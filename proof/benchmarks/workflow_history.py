"""Where the time of a workflow went, by the gaps between the events of its history.

`python -m proof.benchmarks.workflow_history ADDRESS WORKFLOW_ID` prints every activity with how long it waited to be
taken up and how long it ran, in the order of scheduling.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

_ENDS = {
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: "activity_task_completed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: "activity_task_failed_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: "activity_task_timed_out_event_attributes",
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED: "activity_task_canceled_event_attributes",
}


@dataclass
class ActivityTimes:
    """One activity, seconds since the workflow began. `started` is of its last attempt."""

    name: str
    queue: str
    scheduled: float
    started: float | None = None
    ended: float | None = None
    how: str = "open"
    attempts: int = 1
    failure: str = ""  # of the attempt before the last

    def runs(self, at: float) -> bool:
        """Whether it was running then. Earlier attempts leave no event, and count as running."""
        return self.attempts > 1 or (self.started is not None and at >= self.started)


async def activities(client: Client, workflow_id: str) -> list[ActivityTimes]:
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return read(history.events)


def read(events: Iterable[HistoryEvent]) -> list[ActivityTimes]:
    found: dict[int, ActivityTimes] = {}
    began: float | None = None
    for event in events:
        at = event.event_time.ToNanoseconds() / 1e9
        began = at if began is None else began
        _take(event, at - began, found)
    return list(found.values())


def _take(event: HistoryEvent, at: float, found: dict[int, ActivityTimes]) -> None:
    if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
        scheduled = event.activity_task_scheduled_event_attributes
        found[event.event_id] = ActivityTimes(scheduled.activity_type.name, scheduled.task_queue.name, at)
    elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
        started = event.activity_task_started_event_attributes
        one = found[started.scheduled_event_id]
        one.started, one.attempts, one.failure = at, started.attempt, started.last_failure.message[:80]
    elif event.event_type in _ENDS:
        one = found[getattr(event, _ENDS[event.event_type]).scheduled_event_id]
        one.ended = at
        one.how = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_ACTIVITY_TASK_").lower()


def activity_lines(rows: Sequence[ActivityTimes]) -> list[str]:
    """A line for each activity: when it was scheduled, how long it waited, how long it ran."""
    lines = ["   from      wait       ran  tries  activity"]
    for row in rows:
        waited = "" if row.started is None else f"{1000 * (row.started - row.scheduled):7.0f} ms"
        ran = "" if row.started is None or row.ended is None else f"{1000 * (row.ended - row.started):6.0f} ms"
        words = f"  {row.how}" * (row.how != "completed") + f"  before: {row.failure}" * bool(row.failure)
        lines.append(f"{row.scheduled:7.3f} {waited:>10} {ran:>9} {row.attempts:>4}  {row.name} @{row.queue}{words}")
    return lines


async def main(address: str, workflow_id: str) -> None:
    client = await Client.connect(address)
    print("\n".join(activity_lines(await activities(client, workflow_id))))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
