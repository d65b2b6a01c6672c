"""Webhooks: a schedule dispatches, and every delivery is a workflow of its own, which lasts until it is over.

They have a task queue of their own: receivers that take their time keep no switch waiting.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TypeVar

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.names import WEBHOOK_QUEUE
from domain.webhooks import contract
from workflows.timeouts import DELIVER, DISPATCH, Limits

R = TypeVar("R")


@workflow.defn(name=contract.DISPATCH_WORKFLOW)
class DispatchWebhooksWorkflow:
    """What happened becomes deliveries; each is handed to its workflow. Cut off anywhere, the next pass goes on."""

    @workflow.run
    async def run(self, given: contract.Collect) -> contract.Collected:
        found = await _activity(contract.COLLECT, given, contract.Collected, DISPATCH)
        await asyncio.gather(*(_hand(one) for one in found.waiting))
        if found.waiting:
            await _activity(contract.HANDED, contract.Handed(found.waiting), type(None), DISPATCH)
        return found


@workflow.defn(name=contract.DELIVER_WORKFLOW)
class DeliverWebhookWorkflow:
    """Attempt after attempt, for days if it has to be: the activity says when the next one is due."""

    @workflow.run
    async def run(self, given: contract.Deliver) -> contract.Delivered:
        return await _activity(contract.DELIVER, given, contract.Delivered, DELIVER)


WEBHOOK_WORKFLOWS: list[type] = [DispatchWebhooksWorkflow, DeliverWebhookWorkflow]


async def _hand(delivery_id: str) -> None:
    try:
        await workflow.start_child_workflow(
            contract.DELIVER_WORKFLOW,
            contract.Deliver(delivery_id),
            id=contract.delivery_workflow_id(delivery_id),
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            parent_close_policy=workflow.ParentClosePolicy.ABANDON,
        )
    except WorkflowAlreadyStartedError:
        workflow.logger.info("delivery %s has its workflow", delivery_id)


async def _activity(name: str, given: object, answer: type[R], limits: Limits) -> R:
    result: R = await workflow.execute_activity(
        name,
        given,
        result_type=answer,
        task_queue=WEBHOOK_QUEUE,
        start_to_close_timeout=timedelta(seconds=limits.attempt_s),
        schedule_to_close_timeout=timedelta(seconds=limits.overall_s) if limits.overall_s else None,
        retry_policy=limits.retry,
    )
    return result
