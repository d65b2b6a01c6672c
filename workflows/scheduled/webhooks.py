"""Webhooks: a schedule dispatches, and every delivery is a workflow of its own, which lasts until it is over.

They have a task queue of their own: receivers that take their time keep no switch waiting. In it the dispatch goes
first, and clients take turns: one client's receivers that take their time keep no other's messages waiting.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.names import WEBHOOK_QUEUE
from domain.webhooks import contract
from workflows.timeouts import DELIVER, DISPATCH, Limits

R = TypeVar("R")

_FIRST = Priority(priority_key=1)  # of five; a delivery has the middle one


@workflow.defn(name=contract.DISPATCH_WORKFLOW)
class DispatchWebhooksWorkflow:
    """What happened becomes deliveries; each is handed to its workflow. Cut off anywhere, the next pass goes on."""

    @workflow.run
    async def run(self, given: contract.CollectEventsInput) -> contract.CollectEventsResult:
        found = await _activity(contract.COLLECT_EVENTS, given, contract.CollectEventsResult, DISPATCH, _FIRST)
        await asyncio.gather(*(_hand(one) for one in found.waiting))
        if found.waiting:
            handed = contract.MarkHandedOverInput([one.delivery_id for one in found.waiting])
            await _activity(contract.MARK_HANDED_OVER, handed, type(None), DISPATCH, _FIRST)
        return found


@workflow.defn(name=contract.DELIVER_WORKFLOW)
class DeliverWebhookWorkflow:
    """Attempt after attempt, for days if it has to be: the activity says when the next one is due."""

    @workflow.run
    async def run(self, given: contract.DeliverInput) -> contract.DeliverResult:
        turn = Priority(fairness_key=given.client_id)
        return await _activity(contract.DELIVER, given, contract.DeliverResult, DELIVER, turn)


WEBHOOK_WORKFLOWS: list[type] = [DispatchWebhooksWorkflow, DeliverWebhookWorkflow]


async def _hand(given: contract.DeliverInput) -> None:
    try:
        await workflow.start_child_workflow(
            contract.DELIVER_WORKFLOW,
            given,
            id=contract.delivery_workflow_id(given.delivery_id),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("delivery %s has its workflow", given.delivery_id)


async def _activity(name: str, given: object, answer: type[R], limits: Limits, priority: Priority) -> R:
    result: R = await workflow.execute_activity(
        name,
        given,
        result_type=answer,
        task_queue=WEBHOOK_QUEUE,
        start_to_close_timeout=timedelta(seconds=limits.attempt_s),
        schedule_to_close_timeout=timedelta(seconds=limits.overall_s) if limits.overall_s else None,
        retry_policy=limits.retry,
        priority=priority,
    )
    return result
