"""An activity of the control plane's own upkeep: on its queue, at the lowest priority."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority as TemporalPriority

from domain.names import CONTROL_QUEUE
from domain.operations import Priority
from workflows.timeouts import Limits

R = TypeVar("R")


async def execute_upkeep(name: str, given: object, answer: type[R], limits: Limits) -> R:
    result: R = await workflow.execute_activity(
        name,
        given,
        result_type=answer,
        task_queue=CONTROL_QUEUE,
        start_to_close_timeout=timedelta(seconds=limits.attempt_s),
        schedule_to_close_timeout=timedelta(seconds=limits.overall_s) if limits.overall_s else None,
        heartbeat_timeout=timedelta(seconds=limits.heartbeat_s) if limits.heartbeat_s else None,
        retry_policy=limits.retry,
        priority=TemporalPriority(priority_key=Priority.UPKEEP.temporal_key),
    )
    return result
