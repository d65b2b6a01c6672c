"""Dispatch and delivery as workflows: handed over once each, tried until they are over."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from domain.errors import Failure
from domain.names import CONTROL_QUEUE, WEBHOOK_QUEUE
from domain.webhooks import contract
from tests.database_schemas import unique
from tests.workflows.conftest import Given
from tests.workflows.faults import Fault, failing
from tests.workflows.server_under_test import PATIENCE_S, ServerUnderTest


async def one_pass(server: ServerUnderTest, workflow_id: str = "") -> contract.CollectEventsResult:
    done: contract.CollectEventsResult = await server.client.execute_workflow(
        contract.DISPATCH_WORKFLOW,
        contract.CollectEventsInput(),
        id=workflow_id or unique("dispatch"),
        task_queue=CONTROL_QUEUE,
        result_type=contract.CollectEventsResult,
    )
    return done


def result_of(server: ServerUnderTest, delivery_id: str) -> object:
    workflow_id = contract.delivery_workflow_id(delivery_id)
    return server.client.get_workflow_handle(workflow_id, result_type=contract.DeliverResult).result()


async def test_what_waits_is_handed_over_and_delivered_beside(given: Given) -> None:
    server = await given()
    server.cloud.waiting_deliveries = waiting = [unique("msg") for _ in range(3)]
    assert [one.delivery_id for one in (await one_pass(server)).waiting] == waiting
    assert server.cloud.handed_over == waiting
    for one in waiting:
        await result_of(server, one)  # type: ignore[misc]
    assert sorted(server.cloud.delivered) == sorted(waiting)
    assert {call.queue for call in server.cloud.called(contract.DELIVER)} == {WEBHOOK_QUEUE}


async def priorities(server: ServerUnderTest, workflow_id: str) -> dict[str, tuple[int, str]]:
    """By activity, as it was scheduled: priority key, fairness key."""
    history = await server.client.get_workflow_handle(workflow_id).fetch_history()
    scheduled = [
        one.activity_task_scheduled_event_attributes
        for one in history.events
        if one.HasField("activity_task_scheduled_event_attributes")
    ]
    return {one.activity_type.name: (one.priority.priority_key, one.priority.fairness_key) for one in scheduled}


async def test_the_dispatch_goes_first_and_clients_take_turns(given: Given) -> None:
    server = await given()
    server.cloud.waiting_deliveries = [one] = [unique("msg")]
    dispatch = unique("dispatch")
    await one_pass(server, dispatch)
    await result_of(server, one)  # type: ignore[misc]
    assert await priorities(server, dispatch) == {contract.COLLECT_EVENTS: (1, ""), contract.MARK_HANDED_OVER: (1, "")}
    delivery = await priorities(server, contract.delivery_workflow_id(one))
    assert delivery == {contract.DELIVER: (0, f"client of {one}")}


async def test_a_delivery_that_has_its_workflow_gets_no_second_one(given: Given) -> None:
    server = await given()
    server.cloud.waiting_deliveries = [one] = [unique("msg")]
    for _ in range(2):
        await one_pass(server)
        await result_of(server, one)  # type: ignore[misc]
    assert server.cloud.delivered == [one]
    assert server.cloud.handed_over == [one, one]


async def test_a_dispatch_that_is_cut_off_is_made_good_by_the_next(given: Given) -> None:
    server = await given()
    server.cloud.waiting_deliveries = [one] = [unique("msg")]
    server.cloud.fault(failing(contract.MARK_HANDED_OVER, times=1))
    with pytest.raises(WorkflowFailureError):
        await one_pass(server)
    await one_pass(server)
    await result_of(server, one)  # type: ignore[misc]
    assert (server.cloud.delivered, server.cloud.handed_over) == ([one], [one])


class Later(Fault):
    """An attempt that failed, and says when the next one is due."""

    def error(self) -> ApplicationError:
        return ApplicationError("attempt failed", type=Failure.UNAVAILABLE.value, next_retry_delay=self.retry_in)


async def start_delivery(server: ServerUnderTest, delivery_id: str) -> WorkflowHandle[Any, Any]:
    return await server.client.start_workflow(
        contract.DELIVER_WORKFLOW,
        contract.DeliverInput(delivery_id),
        id=contract.delivery_workflow_id(delivery_id),
        task_queue=CONTROL_QUEUE,
    )


async def test_an_attempt_is_due_when_the_last_one_said(given: Given) -> None:
    """Later than any pause of the delivery's own."""
    server = await given()
    server.cloud.fault(Later(contract.DELIVER, Failure.UNAVAILABLE, retry_in=timedelta(hours=8)))
    handle = await start_delivery(server, unique("msg"))
    async with asyncio.timeout(PATIENCE_S):
        while not (waiting := await next_attempts(handle)):  # noqa: ASYNC110  Temporal tells nobody
            await asyncio.sleep(0.03)
    assert [round(one.total_seconds()) for one in waiting] == [8 * 3600]
    await handle.terminate()


async def next_attempts(handle: WorkflowHandle[Any, Any]) -> list[timedelta]:
    """Of activities that have failed: how long after the failure the next attempt is due."""
    pending = (await handle.describe()).raw_description.pending_activities
    failed = [one for one in pending if one.HasField("last_failure") and one.HasField("next_attempt_schedule_time")]
    return [one.next_attempt_schedule_time.ToDatetime() - one.last_attempt_complete_time.ToDatetime() for one in failed]


async def test_it_is_tried_until_it_is_delivered(given: Given) -> None:
    server = await given()
    fault = server.cloud.fault(
        Later(contract.DELIVER, Failure.UNAVAILABLE, times=3, retry_in=timedelta(milliseconds=10))
    )
    handle = await start_delivery(server, one := unique("msg"))
    await handle.result()
    assert fault.hits == 3
    assert server.cloud.delivered == [one]
    assert (await handle.describe()).status is WorkflowExecutionStatus.COMPLETED
