"""Webhooks: a schedule dispatches, and every delivery is a workflow of its own, which lasts until it is over.

They have a task queue of their own: receivers that take their time keep no switch waiting. In it the dispatch goes
first, and clients take turns: one client's receivers that take their time keep no other's messages waiting.
"""

from __future__ import annotations

import asyncio
import functools

from temporalio import workflow
from temporalio.common import Priority, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

from domain.names import WEBHOOK_QUEUE
from domain.webhooks import contract
from workflows.activity_calls import execute
from workflows.timeouts import DELIVER, DISPATCH

_execute = functools.partial(execute, queue=WEBHOOK_QUEUE)
_FIRST = Priority(priority_key=1)  # of five; a delivery has the middle one


@workflow.defn(name=contract.DISPATCH_WORKFLOW)
class DispatchWebhooksWorkflow:
    """What happened becomes deliveries; each is handed to its workflow. Cut off anywhere, the next pass goes on."""

    @workflow.run
    async def run(self, given: contract.CollectEventsInput) -> contract.CollectEventsResult:
        found = await _execute(contract.COLLECT_EVENTS, given, contract.CollectEventsResult, DISPATCH, priority=_FIRST)
        await asyncio.gather(*(_hand(one) for one in found.waiting))
        if found.waiting:
            handed = contract.MarkHandedOverInput([one.delivery_id for one in found.waiting])
            await _execute(contract.MARK_HANDED_OVER, handed, type(None), DISPATCH, priority=_FIRST)
        return found


@workflow.defn(name=contract.DELIVER_WORKFLOW)
class DeliverWebhookWorkflow:
    """Attempt after attempt, for days if it has to be: the activity says when the next one is due."""

    @workflow.run
    async def run(self, given: contract.DeliverInput) -> contract.DeliverResult:
        turn = Priority(fairness_key=given.client_id)
        return await _execute(contract.DELIVER, given, contract.DeliverResult, DELIVER, priority=turn)


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
