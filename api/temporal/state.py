"""Temporal's state for admins: its version, who polls its queues, which schedules there are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest, GetSystemInfoRequest
from temporalio.client import Client, ScheduleListDescription

from domain.names import CONTROL_QUEUE, EMERGENCY_QUEUE

_KINDS = {
    "workflows": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    "activities": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
}
MOST_SCHEDULES = 200


@dataclass(frozen=True)
class Poller:
    """A worker that polls a queue. Temporal lists it for some minutes after its last poll."""

    queue: str
    kind: str  # workflows, activities
    identity: str
    last_poll_at: datetime


@dataclass(frozen=True)
class ScheduleState:
    schedule_id: str
    workflow: str
    paused: bool
    note: str
    last_run_at: datetime | None
    next_run_at: datetime | None


@dataclass(frozen=True)
class TemporalState:
    version: str
    pollers: list[Poller] = field(default_factory=list)
    schedules: list[ScheduleState] = field(default_factory=list)


async def read_temporal_state(client: Client) -> TemporalState:
    """Raises the client's errors."""
    asked = (_pollers(client, queue, kind) for queue in (CONTROL_QUEUE, EMERGENCY_QUEUE) for kind in _KINDS)
    version, schedules, polled = await asyncio.gather(_version(client), _schedules(client), asyncio.gather(*asked))
    return TemporalState(version, [one for group in polled for one in group], schedules)


async def _version(client: Client) -> str:
    return (await client.workflow_service.get_system_info(GetSystemInfoRequest())).server_version


async def _pollers(client: Client, queue: str, kind: str) -> list[Poller]:
    asked = DescribeTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), task_queue_type=_KINDS[kind]
    )
    found = await client.workflow_service.describe_task_queue(asked)
    return [
        Poller(queue, kind, poller.identity, poller.last_access_time.ToDatetime(tzinfo=UTC)) for poller in found.pollers
    ]


async def _schedules(client: Client) -> list[ScheduleState]:
    found = []
    async for one in await client.list_schedules():
        found.append(_schedule(one))
        if len(found) == MOST_SCHEDULES:
            break
    return sorted(found, key=lambda one: one.schedule_id)


def _schedule(one: ScheduleListDescription) -> ScheduleState:
    info, schedule = one.info, one.schedule
    return ScheduleState(
        one.id,
        str(getattr(schedule.action, "workflow", "")) if schedule else "",
        schedule.state.paused if schedule else False,
        (schedule.state.note or "") if schedule else "",
        _last(action.started_at for action in info.recent_actions) if info else None,
        next(iter(info.next_action_times), None) if info else None,
    )


def _last(times: Iterable[datetime]) -> datetime | None:
    return max(times, default=None)
