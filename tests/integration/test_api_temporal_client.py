"""The Temporal client against a real Temporal server: each of its errors, as it really comes."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleIntervalSpec, ScheduleSpec
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from api.temporal import client as temporal_client
from api.temporal.client import (
    AlreadyRunning,
    NoSuchWorkflow,
    NoWorker,
    TemporalUnreachable,
    WorkflowClient,
    WorkflowRefused,
)
from domain.adoption import AdoptInput, AdoptResult, Plan, PlanInput
from domain.autopilot.contract import PreviewInput, PreviewResult
from domain.errors import Failure
from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import CONTROL_QUEUE, server_workflow_id
from domain.operations import AcceptedRequest, OperationKind, OperationRequest, Refusal, ServerInput, ServerView
from domain.resumption import ResumeInput, ResumeResult
from domain.servers import Handoff, Placement, ServerPolicy, ServerRef, ServerShape

_FAIL_ONCE: set[str] = set()  # workflows whose next query fails


@workflow.defn(name="ServerWorkflow")
class TinyServer:
    """Accepts what is asked, refuses a request ID that comes back with another digest, counts the rest."""

    def __init__(self) -> None:
        self.digests: dict[str, str] = {}
        self.heard: list[str] = []
        self.ended = False

    @workflow.run
    async def run(self, start: ServerInput) -> None:
        await workflow.wait_condition(lambda: self.ended)

    @workflow.update
    async def request(self, request: OperationRequest) -> AcceptedRequest:
        known = self.digests.setdefault(request.request_id, request.body_digest)
        if known != request.body_digest:
            raise ApplicationError("used before", type=Refusal.REQUEST_ID_REUSED, non_retryable=True)
        self.heard.append(request.kind.value)
        self.ended = request.kind is OperationKind.RELEASE
        return AcceptedRequest("op-1", repeated=self.heard.count(request.kind.value) > 1)

    @workflow.update
    async def change_policy(self, policy: ServerPolicy) -> None:
        self.heard.append(policy.handoff.value)

    @workflow.signal
    def notice(self, notice: Notice) -> None:
        self.heard.append(notice.notice_id)

    @workflow.signal
    def cancel_operation(self, operation: str) -> None:
        self.heard.append(operation)

    @workflow.query
    def state(self) -> ServerView:
        if workflow.info().workflow_id in _FAIL_ONCE:
            _FAIL_ONCE.discard(workflow.info().workflow_id)
            raise ValueError("not from here")
        heard = dict.fromkeys(self.heard, 1.0)
        return ServerView(ServerShape(Placement("i-1", "pool"), cool_downs=heard), ended=self.ended)


@workflow.defn(name="AdoptWorkflow")
class TinyAdoption:
    @workflow.run
    async def run(self, work: AdoptInput) -> AdoptResult:
        if work.instance_id == "i-gone":
            raise ApplicationError("i-gone does not exist", type=Failure.GONE, non_retryable=True)
        if work.instance_id == "i-slow":
            await workflow.wait_condition(lambda: False)
        return AdoptResult(work.server.server_id, Handoff.STATELESS)


@workflow.defn(name="ResumeWorkflow")
class TinyResumption:
    @workflow.run
    async def run(self, work: ResumeInput) -> ResumeResult:
        if not work.dry_run:
            await workflow.wait_condition(lambda: False)
        return ResumeResult(ended=[workflow.info().workflow_id])


@workflow.defn(name="PlanWorkflow")
class TinyPlan:
    @workflow.run
    async def run(self, work: PlanInput) -> Plan:
        return Plan(Handoff.VOLUMES, work.primary.pool, reason=work.pool)


@workflow.defn(name="CandidatesWorkflow")
class TinyLook:
    @workflow.run
    async def run(self, work: PreviewInput) -> PreviewResult:
        return PreviewResult("stay", "best_already", figures={"candidates": work.candidates})


@asynccontextmanager
async def at_work(client: Client) -> AsyncIterator[None]:
    workflows = [TinyServer, TinyAdoption, TinyResumption, TinyPlan, TinyLook]
    runner = UnsandboxedWorkflowRunner()  # this module imports the API, which a sandbox would load again
    async with Worker(client, task_queue=CONTROL_QUEUE, workflows=workflows, workflow_runner=runner):
        yield


@pytest.fixture
async def client(temporal_server: str) -> Client:
    return await Client.connect(temporal_server)


@pytest.fixture
def temporal(temporal_server: str) -> WorkflowClient:
    return WorkflowClient(temporal_server, "default")


async def runs_already(client: Client, workflow_name: str, input: object, workflow_id: str) -> None:
    """Also where the call before gave up before Temporal had heard of it."""
    again = WorkflowIDConflictPolicy.USE_EXISTING
    await client.start_workflow(
        workflow_name, input, id=workflow_id, task_queue=CONTROL_QUEUE, id_conflict_policy=again
    )


def new_server() -> ServerRef:
    return ServerRef(f"srv-{uuid.uuid4().hex}", "cli-1", "name", "us-east-1")


def asked(kind: OperationKind = OperationKind.SWITCH, key: str = "key-1", digest: str = "a") -> OperationRequest:
    return OperationRequest(key, kind, body_digest=digest)


async def test_the_workflows_own_answer_comes_back_each_time_it_is_asked(
    temporal: WorkflowClient, client: Client
) -> None:
    server = new_server()
    async with at_work(client):
        first = await temporal.launch(ServerInput(server, ServerPolicy()), asked(OperationKind.LAUNCH))
        again = await temporal.launch(ServerInput(server, ServerPolicy()), asked(OperationKind.LAUNCH))
        assert (first.repeated, again.repeated) == (False, True)

        with pytest.raises(WorkflowRefused) as refused:
            await temporal.request(server.server_id, asked(OperationKind.LAUNCH, digest="b"))
        assert refused.value.type == Refusal.REQUEST_ID_REUSED

        notice = Notice("i-1", NoticeKind.REBALANCE, NoticeSource.IMDS, datetime.now(UTC))
        await temporal.notice(server.server_id, notice)
        await temporal.cancel(server.server_id, "op-9")
        await temporal.change_policy(server.server_id, replace(ServerPolicy(), handoff=Handoff.SNAPSHOT))
        view = await temporal.server_state(server.server_id)
        assert {notice.notice_id, "op-9", "snapshot"} <= set(view.shape.cool_downs)

        await temporal.request(server.server_id, asked(OperationKind.RELEASE, key="key-2"))
        with pytest.raises(NoSuchWorkflow):
            await temporal.request(server.server_id, asked(key="key-3"))


async def test_a_view_whose_query_failed_is_asked_for_again(temporal: WorkflowClient, client: Client) -> None:
    server = new_server()
    async with at_work(client):
        await temporal.launch(ServerInput(server, ServerPolicy()), asked(OperationKind.LAUNCH))
        _FAIL_ONCE.add(server_workflow_id(server.server_id))
        view = await temporal.server_state(server.server_id)
        assert not _FAIL_ONCE
        assert OperationKind.LAUNCH in view.shape.cool_downs


async def test_a_server_that_never_was_has_no_workflow(temporal: WorkflowClient, client: Client) -> None:
    with pytest.raises(NoSuchWorkflow):
        await temporal.request("srv-never", asked())
    with pytest.raises(NoSuchWorkflow):
        await temporal.cancel("srv-never", "op-1")


async def test_adoption_and_plan_answer_or_say_why_not(
    temporal: WorkflowClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = new_server()
    slow = AdoptInput(server, "i-slow", ServerPolicy())
    async with at_work(client):
        adopted = await temporal.adopt(AdoptInput(server, f"i-{uuid.uuid4().hex}", ServerPolicy()))
        assert adopted.server_id == server.server_id
        with pytest.raises(WorkflowRefused) as gone:
            await temporal.adopt(AdoptInput(server, "i-gone", ServerPolicy()))
        assert (gone.value.type, gone.value.reason) == (Failure.GONE, "i-gone does not exist")

        plan = await temporal.plan(PlanInput(server, ServerPolicy(), Placement("i-1", "here"), pool="there"))
        assert (plan.from_pool, plan.reason) == ("here", "there")
        looked = await temporal.candidates(PreviewInput(server.server_id, 7))
        assert (looked.kind, looked.figures) == ("stay", {"candidates": 7})

        with monkeypatch.context() as patch:
            patch.setattr(temporal_client, "ADOPT_TIMEOUT_S", 1.0)
            with pytest.raises(NoWorker):
                await temporal.adopt(slow)
        await runs_already(client, "AdoptWorkflow", slow, "adopt/us-east-1/i-slow")
        with pytest.raises(AlreadyRunning):
            await temporal.adopt(slow)
        await client.get_workflow_handle("adopt/us-east-1/i-slow").terminate()


async def test_one_resumption_of_a_server_at_a_time_and_a_look_beside_it(
    temporal: WorkflowClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = ResumeInput(new_server(), "key-1")
    async with at_work(client):
        with monkeypatch.context() as patch:
            patch.setattr(temporal_client, "RESUME_TIMEOUT_S", 1.0)
            with pytest.raises(NoWorker):
                await temporal.resume(work)
        await runs_already(client, "ResumeWorkflow", work, f"resume/{work.server.server_id}")
        with pytest.raises(AlreadyRunning):
            await temporal.resume(work)
        looked = await temporal.resume(replace(work, dry_run=True))
        assert looked.ended[0].startswith(f"resume/{work.server.server_id}/")
        await client.get_workflow_handle(f"resume/{work.server.server_id}").terminate()


async def test_without_a_worker_an_answer_comes_in_time(
    temporal: WorkflowClient, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(temporal_client, "ACCEPT_TIMEOUT_S", 0.5)
    server = new_server()
    with pytest.raises(NoWorker):
        await temporal.launch(ServerInput(server, ServerPolicy()), asked())
    with pytest.raises(NoWorker):
        await temporal.request(server.server_id, asked())


async def test_a_temporal_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporal_client, "CHECK_TIMEOUT_S", 1.0)
    away = WorkflowClient("127.0.0.1:1", "default")
    with pytest.raises(TemporalUnreachable, match=r"127\.0\.0\.1:1"):
        await away.check()
    with pytest.raises(TemporalUnreachable, match=r"127\.0\.0\.1:1"):
        await away.request("srv-1", asked())


async def test_who_polls_and_what_is_scheduled_can_be_seen(temporal: WorkflowClient, client: Client) -> None:
    schedule_id = f"regular/{uuid.uuid4().hex}"
    action = ScheduleActionStartWorkflow("PlanWorkflow", id=schedule_id, task_queue=CONTROL_QUEUE)
    every = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
    handle = await client.create_schedule(schedule_id, Schedule(action, every))
    try:
        async with at_work(client), asyncio.timeout(60):
            while True:  # Temporal shows both a moment after they are there
                seen = await temporal.temporal_state()
                found = [one for one in seen.schedules if one.schedule_id == schedule_id]
                if found and any(poller.queue == CONTROL_QUEUE for poller in seen.pollers):
                    break
                await asyncio.sleep(0.1)
    finally:
        await handle.delete()
    assert seen.version
    assert (found[0].workflow, found[0].paused) == ("PlanWorkflow", False)
    assert found[0].next_run_at is not None
    assert {poller.kind for poller in seen.pollers} >= {"workflows"}
