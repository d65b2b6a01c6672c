"""The pass over EC2 and the ledger, and what a server does when it is told that its instance is gone."""

from __future__ import annotations

import asyncio

from temporalio.testing import ActivityEnvironment

from activities.ec2.clients import Clients
from activities.reconciliation.activity import ReconciliationActivities
from activities.running_workflows import find_running, list_running
from domain.errors import Failure
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import CONTROL_QUEUE
from domain.operations import SERVER_WORKFLOW, SIGNAL_NOTICE
from domain.reconciliation import contract, unattended_servers
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason
from domain.servers import Handoff
from tests.api_world import unreachable_database
from tests.workflows.conftest import Given
from tests.workflows.ec2_state import OLD, REGION
from tests.workflows.faults import Fault
from tests.workflows.server_under_test import PATIENCE_S, ServerUnderTest


async def one_pass(server: ServerUnderTest) -> contract.ReconcileResult:
    done: contract.ReconcileResult = await server.client.execute_workflow(
        contract.RECONCILE_WORKFLOW,
        contract.ReconcileInput(),
        id=f"reconcile-{server.ref.server_id}",
        task_queue=CONTROL_QUEUE,
        result_type=contract.ReconcileResult,
    )
    return done


def finding(server: ServerUnderTest, name: str = "i-orphan", action: DriftAction = DriftAction.REMOVE) -> DriftFinding:
    what = (DriftKind.UNKNOWN_RESOURCE, action, DriftReason.OPERATION_ENDED, "instance", name)
    return DriftFinding(REGION, *what, server.ref.client_id, server.ref.server_id)


async def test_what_is_due_is_settled_after_its_server_was_asked_again(given: Given) -> None:
    server = await given()
    server.cloud.drift.findings = server.cloud.drift.due = [finding(server)]
    done = await one_pass(server)
    assert (done.found, done.done) == (1, 1)
    names = [call.name for call in server.cloud.calls if call.name.startswith("reconcile")]
    assert names == [
        contract.RECONCILE_SURVEY,
        contract.UNATTENDED,
        contract.AT_REST,
        contract.REPORT,
        contract.AT_REST,
        contract.SETTLE,
    ]


async def test_a_server_that_became_busy_meanwhile_is_left_alone(given: Given) -> None:
    server = await given()
    server.cloud.drift.findings = server.cloud.drift.due = [finding(server)]
    server.cloud.drift.busy = {server.ref.server_id}
    assert (await one_pass(server)).done == 0
    [settle] = server.cloud.called(contract.SETTLE)
    assert settle.argument.resting.at_rest == []


async def test_without_anything_due_nothing_is_settled(given: Given) -> None:
    server = await given()
    await one_pass(server)
    assert server.cloud.called(contract.SETTLE) == []


async def test_a_look_that_fails_is_made_again(given: Given) -> None:
    server = await given()
    server.cloud.fault(Fault(contract.REPORT, Failure.UNAVAILABLE, times=1))
    await one_pass(server)
    assert len(server.cloud.called(contract.REPORT)) == 2


async def test_a_workflow_that_cannot_be_asked_does_not_keep_the_others_from_being_asked(given: Given) -> None:
    server = await given()
    server.cloud.drift.findings = server.cloud.drift.due = [finding(server, action=DriftAction.ASK)]
    server.cloud.drift.lost = [contract.LostInstance(f"k{n}", f"srv-{n}", f"i-{n}") for n in (1, 2)]
    server.cloud.fault(Fault(contract.REPLACE_LOST, Failure.REFUSED, times=1))
    await one_pass(server)
    assert [call.argument.server_id for call in server.cloud.called(contract.REPLACE_LOST)] == ["srv-1", "srv-2"]


async def test_an_instance_told_lost_is_one_failover_however_often_it_is_told(given: Given) -> None:
    server = await given(Handoff.VOLUMES)
    server.cloud.ec2_state.end(OLD)
    now = await server.clock.now()
    for _ in range(3):
        notice = Notice(OLD, NoticeKind.INTERRUPTION, NoticeSource.LOST, now, deadline=now)
        await server.handle.signal(SIGNAL_NOTICE, notice)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.assert_true()
    assert len(server.cloud.records.accepted) == 1


async def test_a_server_without_a_workflow_is_told_before_all_else(given: Given) -> None:
    server = await given()
    server.cloud.drift.findings = [finding(server)]
    server.cloud.drift.unattended = [
        unattended_servers.workflow_missing(server.ref.server_id, server.ref.client_id, REGION)
    ]
    assert (await one_pass(server)).found == 2
    [report] = server.cloud.called(contract.REPORT)
    assert [one.kind for one in report.argument.surveyed.findings] == [
        DriftKind.NO_WORKFLOW,
        DriftKind.UNKNOWN_RESOURCE,
    ]


async def test_temporal_tells_which_workflows_run_and_forgets_one_that_was_terminated(given: Given) -> None:
    server = await given()
    await server.at_rest()  # one that ends before its first task answers nobody
    query = f"WorkflowType = '{SERVER_WORKFLOW}'"
    async with asyncio.timeout(PATIENCE_S):
        while server.handle.id not in await list_running(server.client, query):  # noqa: ASYNC110  the list lags behind
            await asyncio.sleep(0.05)
    assert await find_running(server.client, [server.handle.id, "server/never-was"]) == {server.handle.id}
    await server.handle.terminate()
    assert await find_running(server.client, [server.handle.id]) == set(), "the direct answer does not lag"
    async with asyncio.timeout(PATIENCE_S):
        while server.handle.id in await list_running(server.client, query):  # noqa: ASYNC110  as above
            await asyncio.sleep(0.05)


async def test_a_workflow_that_was_terminated_does_not_say_that_its_server_is_at_rest(given: Given) -> None:
    """Temporal answers a query to it all the same, with what was true at its last task."""
    server = await given()
    work = ReconciliationActivities(unreachable_database().sessions, Clients(), server.client, [REGION])
    asked = contract.AtRestInput([server.ref.server_id])
    assert await ActivityEnvironment().run(work.at_rest, asked) == contract.AtRestResult(
        [server.ref.server_id], [], [OLD]
    )
    await server.handle.terminate()
    assert await ActivityEnvironment().run(work.at_rest, asked) == contract.AtRestResult([], [server.ref.server_id], [])
