"""The autopilot's pass, and what a server does with what it asks for."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from domain import ec2
from domain.adoption import PlanInput
from domain.autopilot import contract
from domain.autopilot.contract import AskServerInput, EvaluateInput, EvaluateResult, KeepPlanInput, Proposal
from domain.errors import Failure
from domain.names import CONTROL_QUEUE
from domain.operations import OperationKind, Outcome, Priority
from domain.servers import Handoff, Placement, ServerPolicy
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import OLD, SPOT, SPOT_2
from tests.workflows.faults import Fault, failing, while_in
from tests.workflows.server_under_test import ServerUnderTest, committed, rolled_back

DECIDED: dict[str, Any] = {"decision_id": "dec-1", "requested_by": "autopilot", "priority": Priority.ORDINARY}


async def one_pass(server: ServerUnderTest) -> EvaluateResult:
    done: EvaluateResult = await server.client.execute_workflow(
        contract.AUTOPILOT_WORKFLOW,
        EvaluateInput(),
        id=f"autopilot-{server.ref.server_id}",
        task_queue=CONTROL_QUEUE,
        result_type=EvaluateResult,
    )
    return done


def plan_of(server: ServerUnderTest, instance_id: str = OLD) -> PlanInput:
    policy = ServerPolicy(handoff=Handoff.STATELESS, accepted_findings=["no_address_moves"])
    return PlanInput(server.ref, policy, Placement(instance_id, SPOT_2), SPOT)


async def test_what_was_decided_is_asked_for_and_what_waits_gets_its_plan(given: Given) -> None:
    server = await given()
    asks = [AskServerInput(f"dec-{n}", f"srv-{n}", OperationKind.SWITCH, 25, SPOT) for n in range(3)]
    server.cloud.evaluated = EvaluateResult(3, asks=asks, proposals=[Proposal("dec-9", plan_of(server))])
    await one_pass(server)
    assert {call.argument.decision_id for call in server.cloud.called(contract.ASK_SERVER)} == {
        "dec-0",
        "dec-1",
        "dec-2",
    }
    [kept] = server.cloud.plans
    assert (kept.decision_id, kept.problem) == ("dec-9", "")
    assert kept.plan is not None
    assert str(kept.plan.candidates[0].pool) == SPOT


async def test_a_plan_that_cannot_be_made_says_why(given: Given) -> None:
    server = await given()
    server.cloud.evaluated = EvaluateResult(1, proposals=[Proposal("dec-9", plan_of(server, "i-gone"))])
    await one_pass(server)
    assert server.cloud.plans == [KeepPlanInput("dec-9", None, "Gone: no instance i-gone")]


async def test_a_decision_that_holds_is_carried_out(given: Given) -> None:
    server = await given()
    assert committed(await server.switch(pool=SPOT, **DECIDED)).receipt.to_pool == SPOT
    [call] = server.cloud.called(contract.RECONSIDER)
    assert call.argument.decision_id == "dec-1"


async def test_a_persons_switch_is_not_reconsidered(given: Given) -> None:
    server = await given()
    committed(await server.switch(pool=SPOT))
    assert server.cloud.called(contract.RECONSIDER) == []


async def test_a_decision_that_no_longer_holds_launches_nothing(given: Given) -> None:
    server = await given()
    server.cloud.broken_decision = "the price has risen"
    result = rolled_back(await server.switch(pool=SPOT, **DECIDED))
    assert "the decision was dropped: the price has risen" in result.receipt.reason
    assert server.cloud.called(ec2.LAUNCH) == []


async def test_facts_that_cannot_be_read_drop_the_decision(given_skipping: Given) -> None:
    server = await given_skipping()
    server.cloud.fault(Fault(contract.RECONSIDER, Failure.UNAVAILABLE))
    result = rolled_back(await server.switch(pool=SPOT, **DECIDED))
    assert "its facts cannot be read now" in result.receipt.reason


async def test_an_ordinary_move_goes_to_the_decided_pool_or_nowhere(given: Given) -> None:
    server = await given()
    server.cloud.empty = {SPOT}
    rolled_back(await server.switch(pool=SPOT, **DECIDED))
    assert {call.subject for call in server.cloud.called(ec2.LAUNCH)} == {SPOT}


async def test_an_urgent_move_takes_the_next_pool_when_the_first_is_empty(given: Given) -> None:
    server = await given()
    server.cloud.empty = {SPOT}
    urgent = DECIDED | {"priority": Priority.URGENT}
    assert committed(await server.switch(pool=SPOT, **urgent)).receipt.to_pool == SPOT_2


async def test_a_replica_is_reconsidered_too(given: Given) -> None:
    server = await given()
    server.cloud.broken_decision = "the risk has passed"
    rolled_back(await server.do(OperationKind.REPLICA_CREATE, **DECIDED))
    assert server.cloud.called(ec2.LAUNCH) == []


async def test_a_replica_is_not_dropped_for_a_risk_that_is_back(given: Given) -> None:
    server = await given(replica=True)
    server.cloud.broken_decision = "the risk is back"
    rolled_back(await server.do(OperationKind.REPLICA_DROP, **DECIDED))
    assert server.cloud.called(ec2.TERMINATE) == []
    server.cloud.broken_decision = ""
    committed(await server.do(OperationKind.REPLICA_DROP, **DECIDED))


async def test_a_look_at_a_servers_candidates_is_one_activity(given: Given) -> None:
    server = await given()
    found = await server.client.execute_workflow(
        contract.CANDIDATES_WORKFLOW,
        contract.PreviewInput("srv-1"),
        id=f"candidates-{server.ref.server_id}",
        task_queue=CONTROL_QUEUE,
        result_type=contract.PreviewResult,
    )
    assert found == contract.PreviewResult("stay", "best_already", figures={"server": "srv-1"})


async def test_the_old_instance_is_kept_for_as_long_as_its_owner_wants(given_skipping: Given) -> None:
    server = await given_skipping()
    # The skipped time ends every watch, and each begins again: an hour of it would take too long.
    before = await server.clock.now()
    asked = await server.ask(OperationKind.SWITCH, keep_old_s=10.0)
    committed(await server.result(asked.operation_id))
    assert await server.clock.now() - before >= timedelta(seconds=10)
    assert OLD in {call.subject for call in server.cloud.called(ec2.TERMINATE)}


async def test_what_is_asked_next_does_not_wait_for_a_kept_instance(given: Given) -> None:
    server = await given()
    first = await server.ask(OperationKind.SWITCH, keep_old_s=3600.0)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    second = await server.ask(OperationKind.SWITCH, pool=SPOT_2)
    committed(await server.result(first.operation_id))
    assert committed(await server.result(second.operation_id)).receipt.to_pool == SPOT_2


async def test_what_was_asked_before_the_commit_ends_the_keeping_too(given: Given) -> None:
    server = await given()

    async def ask_more() -> None:
        await server.ask(OperationKind.SWITCH, pool=SPOT_2)

    server.cloud.fault(while_in(ec2.SURVEY, ask_more))
    asked = await server.ask(OperationKind.SWITCH, keep_old_s=3600.0)
    committed(await server.result(asked.operation_id))


async def test_what_was_asked_before_it_began_ends_the_keeping_too(given: Given) -> None:
    server = await given()
    asked = asyncio.Event()
    server.cloud.fault(while_in(ec2.SURVEY, asked.wait))
    first = await server.ask(OperationKind.SWITCH, pool=SPOT_2)
    keeps = await server.ask(OperationKind.SWITCH, keep_old_s=3600.0)
    last = await server.ask(OperationKind.SWITCH, pool=SPOT_2)
    asked.set()
    for one in (first, keeps, last):
        committed(await server.result(one.operation_id))


async def test_a_failed_ask_is_left_to_the_next_pass(given_skipping: Given) -> None:
    server = await given_skipping()
    server.cloud.evaluated = EvaluateResult(1, asks=[AskServerInput("dec-1", "srv-1", OperationKind.SWITCH, 25, SPOT)])
    server.cloud.fault(failing(contract.ASK_SERVER))
    async with server.clock.skipping():
        assert (await one_pass(server)).servers == 1


async def test_a_plan_that_cannot_be_kept_does_not_fail_the_pass(given: Given) -> None:
    server = await given()
    server.cloud.evaluated = EvaluateResult(1, proposals=[Proposal("dec-9", plan_of(server))])
    server.cloud.fault(failing(contract.KEEP_PLAN))
    assert (await one_pass(server)).servers == 1


async def test_nothing_in_a_pass_is_waited_for_without_limit(given: Given) -> None:
    """One server that does not answer would stop the passes of all others, since they never overlap."""
    server = await given()
    ask = AskServerInput("dec-1", "srv-1", OperationKind.SWITCH, 25, SPOT)
    server.cloud.evaluated = EvaluateResult(2, asks=[ask], proposals=[Proposal("dec-9", plan_of(server))])
    await one_pass(server)
    history = await server.client.get_workflow_handle(f"autopilot-{server.ref.server_id}").fetch_history()
    asked = [one.activity_task_scheduled_event_attributes for one in history.events]
    limits = {
        one.activity_type.name: one.schedule_to_close_timeout.ToTimedelta() for one in asked if one.activity_type.name
    }
    assert {contract.EVALUATE, contract.ASK_SERVER, contract.KEEP_PLAN} == limits.keys()
    assert all(timedelta(0) < limit < contract.PASS_LIMIT for limit in limits.values()), limits
    assert limits[contract.ASK_SERVER] <= timedelta(minutes=1)


async def test_a_notice_does_not_wait_for_the_second_look_at_a_decision(given: Given) -> None:
    server = await given()

    async def notice() -> None:
        await server.notice()
        await server.cloud.until(lambda: bool(server.cloud.called(ec2.LAUNCH)))

    server.cloud.broken_decision = "its facts have changed"
    server.cloud.fault(while_in(contract.RECONSIDER, notice))
    result = committed(await server.switch(pool=SPOT, **DECIDED))
    assert len(server.cloud.called(contract.RECONSIDER)) == 1
    assert result.receipt.to_pool == SPOT


async def test_a_decided_move_that_becomes_the_rescue_takes_any_pool(given: Given) -> None:
    server = await given()

    async def notice() -> None:
        await server.notice()
        await server.cloud.until(lambda: bool(server.cloud.called(ec2.LAUNCH)))

    server.cloud.empty = {SPOT}
    server.cloud.fault(while_in(contract.RECONSIDER, notice))
    assert committed(await server.switch(pool=SPOT, **DECIDED)).receipt.to_pool != SPOT


async def test_an_abort_ends_the_second_look_at_a_decision(given: Given) -> None:
    server = await given()

    async def cancel() -> None:
        await server.cancel(server.cloud.records.accepted[0])
        await server.cloud.until(lambda: bool(server.cloud.records.finished))

    server.cloud.fault(while_in(contract.RECONSIDER, cancel))
    result = await server.switch(pool=SPOT, **DECIDED)
    assert result.outcome is Outcome.CANCELLED
    assert server.cloud.called(ec2.LAUNCH) == []
