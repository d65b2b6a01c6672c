"""How a workflow calls an activity: the options of every call, and the errors that come back, are made here alone."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

from domain.errors import Failure
from domain.names import CONTROL_QUEUE, instance_queue
from domain.operations import Priority
from workflows.timeouts import CALL, Limits

R = TypeVar("R")

_UPKEEP = TemporalPriority(priority_key=Priority.UPKEEP.temporal_key)


async def execute(
    name: str,
    argument: object,
    answer: type[R],
    limits: Limits,
    *,
    queue: str = CONTROL_QUEUE,
    priority: TemporalPriority = TemporalPriority.default,
    wait_when_cancelled: bool = False,
) -> R:
    """Run one activity within `limits`. A cancellation is raised as asyncio's, so no `except ActivityError` sees it.

    `wait_when_cancelled`: a cancelled call is waited for until it has ended.
    """
    cancellation = workflow.ActivityCancellationType
    try:
        result: R = await workflow.execute_activity(
            name,
            argument,
            result_type=answer,
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=limits.attempt_s),
            schedule_to_close_timeout=_optional(limits.overall_s),
            schedule_to_start_timeout=_optional(limits.pickup_s),
            heartbeat_timeout=_optional(limits.heartbeat_s),
            retry_policy=limits.retry,
            cancellation_type=(
                cancellation.WAIT_CANCELLATION_COMPLETED if wait_when_cancelled else cancellation.TRY_CANCEL
            ),
            priority=priority,
        )
    except ActivityError as error:
        if is_cancelled_exception(error):
            raise asyncio.CancelledError from error
        raise
    return result


async def execute_ec2(name: str, argument: object, answer: type[R], limits: Limits = CALL) -> R:
    """One EC2 activity for a workflow that is no operation (adopt, plan, resume)."""
    return await execute(name, argument, answer, limits)


async def execute_on_host(
    instance_id: str,
    name: str,
    argument: object,
    answer: type[R],
    limits: Limits,
    priority: TemporalPriority = TemporalPriority.default,
) -> R:
    """One activity of the agent on this instance, on its own queue."""
    return await execute(name, argument, answer, limits, queue=instance_queue(instance_id), priority=priority)


async def execute_upkeep(
    name: str, argument: object, answer: type[R], limits: Limits, *, wait_when_cancelled: bool = False
) -> R:
    """One activity of the control plane's own upkeep, at the lowest priority."""
    return await execute(name, argument, answer, limits, priority=_UPKEEP, wait_when_cancelled=wait_when_cancelled)


def failure_of(error: BaseException) -> Failure | None:
    """Which of our failure types is behind an activity's error; None: something else, or a timeout."""
    cause = error.cause if isinstance(error, ActivityError) else error
    if isinstance(cause, ApplicationError) and cause.type in set(Failure):
        return Failure(cause.type)
    return None


def explain(error: BaseException) -> str:
    """An error in words for the record and the receipt; short, since payloads have limits."""
    if isinstance(error, ActivityError) and error.cause is not None:
        return f"{error.activity_type}: {error.cause}"[:1500]
    return str(error)[:1500]


def _optional(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
