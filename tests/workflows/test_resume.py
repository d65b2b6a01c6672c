"""A server whose workflow was terminated by hand is resumed, and refused wherever somebody else may hold it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError

from activities.resuming.activity import running_workflows_of
from domain import ec2, host, resumption
from domain.errors import Failure
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import CONTROL_QUEUE, TAG_SERVER, operation_id, operation_workflow_id
from domain.operations import SIGNAL_ABORT, OperationKind, OperationStatus, Outcome, Refusal
from domain.resumption import ResumeInput, ResumeResult
from domain.servers import Handoff
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import OLD, SPOT
from tests.workflows.faults import LOST, Fault, failing, stuck, unanswered, while_in
from tests.workflows.server_under_test import PATIENCE_S, ServerUnderTest, committed


async def lost(server: ServerUnderTest) -> ServerUnderTest:
    """Its workflow is terminated by hand; what is asked of it from now on reaches the one that follows."""
    await server.at_rest()
    await server.handle.terminate()
    server.handle = server.client.get_workflow_handle(server.handle.id)
    return server


async def resume(server: ServerUnderTest, request: str = "resume-1", **how: Any) -> ResumeResult:
    given = ResumeInput(server.ref, request, **{"body_digest": "d", **how})
    done: ResumeResult = await server.client.execute_workflow(
        resumption.RESUME_WORKFLOW,
        given,
        id=resumption.resume_workflow_id(server.ref.server_id),
        task_queue=CONTROL_QUEUE,
        result_type=ResumeResult,
        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
    )
    return done


def codes(result: ResumeResult) -> list[str]:
    return [one.code for one in result.findings]


async def refused(server: ServerUnderTest, code: str, **how: Any) -> str:
    """In words; and nothing was changed."""
    result = await resume(server, **how)
    assert (result.resumed, codes(result)) == (False, [code])
    assert server.cloud.called(resumption.RESUME_FENCE) == []
    return result.findings[0].what


async def elsewhere(server: ServerUnderTest) -> None:
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)


# --- it comes back


async def test_a_resumed_server_goes_on_with_its_records_and_can_be_switched(given: Given) -> None:
    server = await given(Handoff.VOLUMES, elastic=True)
    committed(await server.switch(request_id="before", pool=SPOT))
    await lost(server)
    result = await resume(server)
    assert (result.resumed, codes(result), result.ended) == (True, [], [])
    view = await server.view()
    assert view.shape.primary == result.placement
    assert view.shape.filesystems == server.cloud.ec2_state.filesystems
    assert view.shape.blueprint == server.cloud.ec2_state.blueprint("i-1")
    committed(await server.switch(request_id="after"))


async def test_a_request_of_before_is_not_carried_out_again(given: Given) -> None:
    server = await given()
    first = committed(await server.switch(request_id="once", body_digest="b"))
    await lost(server)
    await resume(server)
    again = await server.ask(OperationKind.SWITCH, request_id="once", body_digest="b")
    was = (first.receipt.operation_id, OperationStatus.COMMITTED, True)
    assert (again.operation_id, again.status, again.repeated) == was
    assert len(server.cloud.called(ec2.LAUNCH)) == 1


async def test_the_watch_comes_back_and_a_notice_is_a_rescue(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    server.cloud.heard[OLD] = asyncio.Queue()
    await resume(server)
    now = await server.clock.now()
    notice = Notice(OLD, NoticeKind.INTERRUPTION, NoticeSource.IMDS, now, deadline=now + timedelta(seconds=120))
    server.cloud.heard[OLD].put_nowait(notice)
    await elsewhere(server)


async def test_a_rescue_that_was_lost_is_begun_anew_when_its_notice_is_heard_again(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    go_on = asyncio.Event()
    server.cloud.fault(while_in(ec2.RANK_POOLS, go_on.wait))
    rescue = await server.notice()
    await server.cloud.until(lambda: bool(server.cloud.called(ec2.RANK_POOLS)))
    await server.handle.terminate()
    await server.operation(rescue).terminate()
    go_on.set()
    server.handle = server.client.get_workflow_handle(server.handle.id)
    assert (await resume(server)).ended == [rescue]
    await server.notice()
    await elsewhere(server)
    assert server.cloud.records.finished[rescue] == "needs_attention"


async def test_a_rescue_that_a_person_cancelled_is_not_begun_again(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    rescue = operation_id(server.ref.server_id, f"notice/{OLD}/interruption")

    async def cancel() -> None:
        await server.cancel(rescue)
        await server.until_heard(rescue, SIGNAL_ABORT)

    server.cloud.fault(while_in(ec2.RANK_POOLS, cancel))
    assert await server.notice() == rescue
    assert (await server.result(rescue)).outcome is Outcome.CANCELLED
    await lost(server)
    await resume(server)
    await server.notice()
    await server.at_rest()
    assert server.cloud.records.accepted == [rescue]


# --- it is refused


async def test_a_dry_run_changes_nothing(given: Given) -> None:
    server = await lost(await given())
    result = await resume(server, dry_run=True)
    assert (result.resumed, codes(result)) == (False, [])
    assert result.placement is not None
    assert server.cloud.called(resumption.RESUME_FENCE) == []
    assert (await resume(server)).resumed


async def test_a_server_whose_workflow_runs_is_refused(given: Given) -> None:
    server = await given()
    server.cloud.running = [server.handle.id]
    await refused(server, "workflow_runs")


async def test_an_operation_that_still_runs_would_go_on_beside_it(given: Given) -> None:
    server = await given()
    server.cloud.running = ["operation/op-1"]
    assert "operation/op-1 still runs" in await refused(server, "operation_runs")


async def test_temporal_itself_names_the_operations_of_a_server(given: Given) -> None:
    """Also those of which no record tells, because the database was away."""
    server = await given()
    go_on = asyncio.Event()
    server.cloud.fault(while_in(host.HOST_READY, go_on.wait))
    asked = await server.ask(OperationKind.SWITCH)
    await server.cloud.until(lambda: bool(server.cloud.called(host.HOST_READY)))
    both = {server.handle.id, operation_workflow_id(asked.operation_id)}
    async with asyncio.timeout(PATIENCE_S):
        while await running_workflows_of(server.client, server.ref.server_id, []) != both:  # noqa: ASYNC110  the list lags
            await asyncio.sleep(0.05)
    go_on.set()
    await server.result(asked.operation_id)
    assert await running_workflows_of(server.client, server.ref.server_id, [asked.operation_id]) == {server.handle.id}


async def test_a_primary_that_is_stopped_is_to_be_started_first(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    server.cloud.ec2_state.instances[OLD].state = "stopped"
    words = await refused(server, "primary_not_running")
    assert f"{OLD} is stopped at EC2; with the server's tags EC2 has volume" in words
    server.cloud.ec2_state.instances[OLD].state = "running"
    assert (await resume(server)).resumed


async def test_a_primary_that_is_gone_says_what_holds_the_data(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    server.cloud.fault(failing(ec2.INSPECT, Failure.GONE, times=1))
    words = await refused(server, "primary_not_running")
    assert f"{OLD} is gone at EC2" in words
    assert all(f"volume {one.volume_id}" in words for one in server.cloud.ec2_state.attached(OLD))
    await resume(server)


async def test_a_primary_without_the_volumes_that_its_state_is_on_is_refused(given: Given) -> None:
    """A switch was broken off while they moved: what was launched for it may have them."""
    server = await lost(await given(Handoff.VOLUMES))
    [data] = server.cloud.ec2_state.attached(OLD, data=True)
    data.attached_to = ""
    assert f"volume {data.volume_id}" in await refused(server, "no_data_volume")
    data.attached_to = OLD
    assert (await resume(server)).resumed


async def test_a_primary_with_the_tags_of_another_server_is_refused(given: Given) -> None:
    server = await lost(await given())
    tags = server.cloud.ec2_state.instances[OLD].tags
    mine, tags[TAG_SERVER] = tags[TAG_SERVER], "srv-other"
    assert "server srv-other" in await refused(server, "strange_tags")
    tags[TAG_SERVER] = mine
    await resume(server)


async def test_an_agent_that_does_not_answer_here_may_answer_in_another_temporal(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    server.cloud.mute.add(OLD)
    assert "does not answer in this Temporal" in await refused(server, "silent_agent")
    result = await resume(server, accept=["silent_agent"])
    assert (result.resumed, codes(result)) == (True, ["silent_agent"])
    server.cloud.mute.clear()


async def test_ec2_that_does_not_answer_is_told_and_changes_nothing(given: Given) -> None:
    server = await lost(await given())
    server.cloud.fault(stuck(ec2.INSPECT, times=1))
    with pytest.raises(WorkflowFailureError):
        await resume(server)
    assert server.cloud.called(resumption.RESUME_FENCE) == []
    await resume(server)


# --- twice, at once, and when answers are lost


async def test_the_same_request_again_is_the_same_answer_and_another_is_refused(given: Given) -> None:
    server = await lost(await given())
    first = await resume(server)
    memo = await (await server.handle.describe()).memo()
    server.cloud.running = [server.handle.id]
    server.cloud.resumed_by = (str(memo[resumption.MEMO_REQUEST]), str(memo[resumption.MEMO_DIGEST]))
    assert await resume(server) == replace(first, repeated=True)
    assert codes(await resume(server, "resume-2")) == ["workflow_runs"]
    with pytest.raises(WorkflowFailureError) as failure:
        await resume(server, body_digest="another")
    assert isinstance(failure.value.cause, ApplicationError)
    assert failure.value.cause.type == Refusal.REQUEST_ID_REUSED
    assert len(server.cloud.called(resumption.RESUME_FENCE)) == 1


async def test_two_at_once_are_one(given: Given) -> None:
    server = await lost(await given())
    second: list[BaseException | ResumeResult] = []

    async def another() -> None:
        second.extend(await asyncio.gather(resume(server, "resume-2"), return_exceptions=True))

    server.cloud.fault(while_in(ec2.INSPECT, another))
    assert (await resume(server)).resumed
    assert isinstance(second[0], WorkflowAlreadyStartedError)


async def test_a_stale_answer_that_no_workflow_runs_does_not_make_a_second(given: Given) -> None:
    server = await given()
    before = await server.handle.describe()
    result = await resume(server)
    assert (result.resumed, codes(result)) == (False, ["workflow_runs"])
    assert (await server.handle.describe()).run_id == before.run_id


async def test_an_answer_that_is_lost_is_asked_for_again(given: Given) -> None:
    server = await lost(await given())
    server.cloud.fault(unanswered(resumption.RESUME_FENCE, final=False, times=1))
    server.cloud.fault(Fault(resumption.RESUME_SURVEY, LOST, times=1))
    assert (await resume(server)).resumed
    assert len(server.cloud.called(resumption.RESUME_FENCE)) == 2


# --- nothing is left to resume it with


async def instance_gone(server: ServerUnderTest) -> None:
    server.cloud.ec2_state.instances[OLD].state = "terminated"
    server.cloud.records.ledger.pop(OLD, None)  # reconciliation has seen it
    server.cloud.fault(failing(ec2.INSPECT, Failure.GONE, times=2))


async def test_a_server_without_an_instance_is_let_go_and_no_workflow_begins(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    await instance_gone(server)
    looked = await resume(server, let_go=True, dry_run=True)
    assert (looked.let_go, codes(looked), server.cloud.called(resumption.RESUME_FENCE)) == (False, [], [])
    result = await resume(server, let_go=True)
    assert (result.let_go, result.resumed, codes(result)) == (True, False, [])
    assert len(server.cloud.called(resumption.RESUME_FENCE)) == 1
    assert (await server.handle.describe()).status is WorkflowExecutionStatus.TERMINATED


async def test_while_an_instance_of_it_is_left_nothing_is_let_go(given: Given) -> None:
    server = await lost(await given(Handoff.VOLUMES))
    assert OLD in await refused(server, "instances_left", let_go=True)
    server.cloud.ec2_state.instances[OLD].tags.clear()
    assert OLD in await refused(server, "instances_left", let_go=True), "known by its own ID, without our tags"
    await instance_gone(server)
    assert (await resume(server, let_go=True)).let_go


async def test_while_its_workflow_runs_nothing_is_let_go(given: Given) -> None:
    server = await given()
    server.cloud.running = [server.handle.id]
    await refused(server, "workflow_runs", let_go=True)


async def test_let_go_twice_by_one_request_is_one(given: Given) -> None:
    server = await lost(await given())
    await instance_gone(server)
    first = await resume(server, let_go=True)
    server.cloud.resumed_by = ("resume-1", "d")
    again = await resume(server, let_go=True)
    assert (again.let_go, again.repeated, again.resumed) == (True, True, False)
    assert (first.repeated, len(server.cloud.called(resumption.RESUME_FENCE))) == (False, 1)
