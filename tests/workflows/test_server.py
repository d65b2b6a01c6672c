"""ServerWorkflow: who is accepted, in which order, and what it remembers."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from domain import ec2, host
from domain.names import operation_id
from domain.operations import OperationKind, OperationStatus, Outcome, Priority
from domain.records import RecordKind
from domain.servers import Handoff
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import HOME, OTHER_ZONE, SPOT, SPOT_2
from tests.workflows.faults import while_in
from tests.workflows.server_under_test import PATIENCE_S, ServerUnderTest, committed


async def _refused(server: ServerUnderTest, kind: OperationKind, **how: object) -> str:
    with pytest.raises(WorkflowUpdateFailedError) as refused:
        await server.ask(kind, **how)
    assert isinstance(refused.value.cause, ApplicationError)
    return refused.value.cause.type or ""


# --- one accepted request per ID


async def test_the_same_request_twice_is_one_operation(given: Given) -> None:
    server = await given()
    first = await server.ask(OperationKind.SWITCH, request_id="once", body_digest="d1")
    again = await server.ask(OperationKind.SWITCH, request_id="once", body_digest="d1")
    assert (first.repeated, again.repeated) == (False, True)
    assert again.operation_id == first.operation_id == operation_id(server.ref.server_id, "once")
    committed(await server.result(first.operation_id))
    await server.at_rest()
    late = await server.ask(OperationKind.SWITCH, request_id="once")
    assert (late.repeated, late.status) == (True, OperationStatus.COMMITTED)
    assert len(server.cloud.called(ec2.LAUNCH)) == 1


async def test_the_same_request_from_many_at_once_is_one_operation(given: Given) -> None:
    server = await given()
    asked = await asyncio.gather(*(server.ask(OperationKind.SWITCH, request_id="once") for _ in range(5)))
    assert sum(not one.repeated for one in asked) == 1
    committed(await server.result(asked[0].operation_id))
    assert server.cloud.records.accepted == [asked[0].operation_id]


async def test_a_request_id_with_another_body_is_refused(given: Given) -> None:
    server = await given()
    first = await server.ask(OperationKind.SWITCH, request_id="once", body_digest="d1")
    assert await _refused(server, OperationKind.SWITCH, request_id="once", body_digest="d2") == "request_id_reused"
    committed(await server.result(first.operation_id))


# --- refusals


async def test_what_makes_no_sense_is_refused_at_once(given: Given) -> None:
    server = await given()
    assert await _refused(server, OperationKind.SWITCH, pool=HOME) == "same_pool"
    assert await _refused(server, OperationKind.PROMOTE) == "no_replica"
    assert await _refused(server, OperationKind.REPLICA_DROP) == "no_replica"
    assert server.cloud.records.accepted == []


async def test_who_does_not_wait_is_refused_while_an_operation_runs(given: Given) -> None:
    server = await given()
    answers: list[str] = []

    async def ask() -> None:
        answers.append(await _refused(server, OperationKind.SWITCH, wait=False, pool=SPOT_2))

    server.cloud.fault(while_in(host.HOST_READY, ask))
    committed(await server.switch())
    assert answers == ["busy"]


# --- order


async def test_what_waits_goes_by_priority_then_by_arrival(given: Given) -> None:
    server = await given()
    asked: list[str] = []

    async def queue_up() -> None:
        for kind, priority, pool in (
            (OperationKind.SWITCH, Priority.UPKEEP, OTHER_ZONE),
            (OperationKind.SWITCH, Priority.PERSON, SPOT_2),
            (OperationKind.REPLICA_CREATE, Priority.PERSON, ""),
        ):
            asked.append((await server.ask(kind, priority=priority, pool=pool)).operation_id)

    server.cloud.fault(while_in(ec2.SURVEY, queue_up))
    first = await server.ask(OperationKind.SWITCH)
    await server.result(first.operation_id)
    for operation in asked:
        committed(await server.result(operation))
    started = [stream for stream, record in server.cloud.records.order if record.kind is RecordKind.OPERATION_STARTED]
    upkeep, person, replica = asked
    assert started == [f"operation/{one}" for one in (first.operation_id, person, replica, upkeep)]


async def test_a_queued_operation_that_is_cancelled_never_starts(given: Given) -> None:
    server = await given()

    async def queue_and_cancel() -> None:
        queued = await server.ask(OperationKind.SWITCH, request_id="dropped", pool=SPOT_2)
        await server.cancel(queued.operation_id)

    server.cloud.fault(while_in(host.HOST_READY, queue_and_cancel))
    assert committed(await server.switch()).receipt.to_pool == SPOT
    await server.at_rest()
    assert server.cloud.records.finished[operation_id(server.ref.server_id, "dropped")] == "cancelled"


async def test_what_no_longer_makes_sense_when_its_turn_comes_is_cancelled(given: Given) -> None:
    server = await given()

    async def same_pool_later() -> None:
        await server.ask(OperationKind.SWITCH, request_id="late", pool=SPOT)

    server.cloud.fault(while_in(host.HOST_READY, same_pool_later))
    assert committed(await server.switch()).receipt.to_pool == SPOT
    await server.at_rest()
    assert server.cloud.records.finished[operation_id(server.ref.server_id, "late")] == "cancelled"


async def test_an_operation_that_is_terminated_in_temporal_needs_attention_and_holds_up_no_other(
    given: Given,
) -> None:
    server = await given()

    async def terminate() -> None:
        await server.operation(operation_id(server.ref.server_id, "lost")).terminate("by an operator")

    server.cloud.fault(while_in(ec2.SURVEY, terminate))
    lost = await server.ask(OperationKind.SWITCH, request_id="lost")
    await server.at_rest()
    assert server.cloud.records.finished[lost.operation_id] == Outcome.NEEDS_ATTENTION
    committed(await server.switch())


async def test_it_cannot_be_cancelled_when_it_has_just_ended(given: Given) -> None:
    """The word may cross with the operation's end: the server takes no harm."""
    server = await given()
    result = committed(await server.switch())
    for _ in range(3):
        await server.cancel(result.receipt.operation_id)
    committed(await server.switch(pool=SPOT_2))


# --- continue as new


async def test_continued_as_new_it_knows_its_requests_its_shape_and_its_notices(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    run = (await server.handle.describe()).run_id
    asked = [(await server.ask(OperationKind.SWITCH, pool=pool)).operation_id for pool in (SPOT, SPOT_2, SPOT)]
    for operation in asked:
        committed(await server.result(operation))
    before = (await server.at_rest()).shape
    noticed = await server.notice("i-elsewhere")
    async with asyncio.timeout(PATIENCE_S):
        while (await server.handle.describe()).run_id == run:
            await server.ask(OperationKind.SWITCH, request_id="r1")
            await asyncio.sleep(0.05)
    view = await server.at_rest()
    assert view.shape == before
    again = await server.ask(OperationKind.SWITCH, request_id="r1")
    assert again.repeated
    assert noticed not in server.cloud.records.accepted
    committed(await server.switch(request_id="next", pool=SPOT_2))
