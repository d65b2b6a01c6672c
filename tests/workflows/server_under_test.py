"""A server under test: what a test asks of it, and what must hold when it is at rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import google.protobuf.empty_pb2
import temporalio.api.testservice.v1 as testservice
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from domain.host import Notice, NoticeKind, NoticeSource
from domain.instance_states import InstanceState
from domain.names import CONTROL_QUEUE, operation_id, operation_workflow_id, ownership_tags, server_workflow_id
from domain.operations import (
    QUERY_STATE,
    SERVER_WORKFLOW,
    SIGNAL_CANCEL,
    SIGNAL_NOTICE,
    UPDATE_REQUEST,
    AcceptedRequest,
    OperationKind,
    OperationRequest,
    OperationResult,
    Outcome,
    Receipt,
    ServerInput,
    ServerView,
)
from domain.servers import ServerPolicy, ServerRef, ServerShape
from tests.workflows.ec2_state import OLD, REGION, REPLICA, SPOT_2
from tests.workflows.fake_cloud import FakeCloud

T = TypeVar("T")

CANCELLATION = ""

PATIENCE_S = 60.0  # of the clock on the wall; nothing here takes long, unless it is broken or the machine is busy


class TaskFailureLog(logging.Handler):
    """Workflow code that raised what is no failure: Temporal would try that task for ever."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.why: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "ailed activation" in record.getMessage() or "never retrieved" in record.getMessage():
            self.why.append(self.format(record))


@dataclass
class Clock:
    """The server's time: skipped ahead where the server can."""

    client: Client
    skips: bool

    @asynccontextmanager
    async def skipping(self) -> AsyncIterator[None]:
        if not self.skips:
            yield
            return
        await self.client.test_service.unlock_time_skipping(testservice.UnlockTimeSkippingRequest())
        try:
            yield
        finally:
            await self.client.test_service.lock_time_skipping(testservice.LockTimeSkippingRequest())

    async def now(self) -> datetime:
        if not self.skips:
            return datetime.now(UTC)
        answer = await self.client.test_service.get_current_time(google.protobuf.empty_pb2.Empty())
        return answer.time.ToDatetime().replace(tzinfo=UTC)


@dataclass
class ServerUnderTest:
    client: Client
    clock: Clock
    cloud: FakeCloud
    broken: TaskFailureLog
    ref: ServerRef
    handle: WorkflowHandle[Any, Any]
    asked: int = field(default=0, init=False)

    @classmethod
    async def start(
        cls,
        client: Client,
        clock: Clock,
        cloud: FakeCloud,
        broken: TaskFailureLog,
        name: str,
        policy: ServerPolicy,
        *,
        replica: bool = False,
        replica_id: str = REPLICA,
    ) -> ServerUnderTest:
        """A server as adoption leaves it, with its workflow."""
        ref = ServerRef(f"srv-{name}", "cli-1", "orders", REGION)
        shape = adopted_shape(cloud, ref, replica=replica, replica_id=replica_id)
        handle = await client.start_workflow(
            SERVER_WORKFLOW,
            ServerInput(ref, policy, shape),
            id=server_workflow_id(ref.server_id),
            task_queue=CONTROL_QUEUE,
        )
        return cls(client, clock, cloud, broken, ref, handle)

    # --- asking

    async def ask(self, kind: OperationKind, **how: Any) -> AcceptedRequest:
        """The update `request`; a request ID of its own unless one is given."""
        self.asked += 1
        request = OperationRequest(**{"request_id": f"r{self.asked}", "kind": kind, **how})
        return await self._unbroken(self.handle.execute_update(UPDATE_REQUEST, request, result_type=AcceptedRequest))

    async def do(self, kind: OperationKind, **how: Any) -> OperationResult:
        return await self.result((await self.ask(kind, **how)).operation_id)

    async def result(self, operation: str) -> OperationResult:
        handle = self.operation(operation)
        async with self.clock.skipping():
            return await self._unbroken(self._when_there(handle))

    async def _when_there(self, handle: WorkflowHandle[Any, OperationResult]) -> OperationResult:
        while True:
            try:
                return await handle.result()
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
            except RuntimeError as error:
                # The long poll for the end runs out in skipped time, and says so with an empty answer.
                if "No completion event" not in str(error):
                    raise
            await asyncio.sleep(0.01)

    def operation(self, operation: str) -> WorkflowHandle[Any, OperationResult]:
        return self.client.get_workflow_handle(operation_workflow_id(operation), result_type=OperationResult)

    async def switch(self, **how: Any) -> OperationResult:
        return await self.do(OperationKind.SWITCH, **how)

    async def cancel(self, operation: str) -> None:
        await self.handle.signal(SIGNAL_CANCEL, operation)

    async def view(self) -> ServerView:
        view: ServerView = await self.handle.query(QUERY_STATE, result_type=ServerView)
        return view

    async def notice(
        self,
        instance_id: str = OLD,
        kind: NoticeKind = NoticeKind.INTERRUPTION,
        source: NoticeSource = NoticeSource.IMDS,
        seconds: float = 120.0,
    ) -> str:
        """A notice by signal; returns the ID that its rescue would have."""
        now = await self.clock.now()
        deadline = now + timedelta(seconds=seconds) if kind is NoticeKind.INTERRUPTION else None
        notice = Notice(instance_id, kind, source, now, deadline=deadline)
        await self.handle.signal(SIGNAL_NOTICE, notice)
        return operation_id(self.ref.server_id, f"notice/{notice.notice_id}")

    def asked_operation(self, request_id: str = "r1") -> str:
        """The operation of the request with this ID: the first that was asked for, unless another is named."""
        return operation_id(self.ref.server_id, request_id)

    async def until_heard(self, operation: str, signal: str) -> None:
        """Until the operation's workflow has taken up this signal; CANCELLATION stands for Temporal's own."""
        async with asyncio.timeout(PATIENCE_S):
            while not _has_taken_up(await self._history(operation), signal):  # noqa: ASYNC110  a history has no event of ours
                await asyncio.sleep(0.03)

    async def _history(self, operation: str) -> Sequence[HistoryEvent]:
        try:
            return (await self.operation(operation).fetch_history()).events
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return ()

    async def until(self, condition: Callable[[ServerView], bool]) -> ServerView:
        """Look until it is so, while the server's time is skipped ahead."""

        async def look() -> ServerView:
            while not condition(view := await self.view()):  # noqa: ASYNC110  a query has no event
                await asyncio.sleep(0.03)
            return view

        async with self.clock.skipping():
            return await self._unbroken(look())

    async def _unbroken(self, work: Coroutine[Any, Any, T]) -> T:
        """The answer; or what is wrong with the workflow code that does not come to one."""
        task = asyncio.ensure_future(work)
        waited = 0.0
        while not task.done():
            await asyncio.wait([task], timeout=0.2)
            waited += 0.2
            if not task.done() and (self.broken.why or waited > PATIENCE_S):
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                last = ", ".join(str(call) for call in self.cloud.calls[-6:])
                raise AssertionError(self.broken.why[0] if self.broken.why else f"no answer; the last calls: {last}")
        return task.result()

    # --- at rest

    async def at_rest(self) -> ServerView:
        """Nothing runs, nothing waits, and the records are written."""
        async with self.clock.skipping():
            await self.cloud.until(self._recorded, PATIENCE_S)  # costs less than to ask again and again
        return await self.until(lambda now: now.running is None and not now.queue)

    def _recorded(self) -> bool:
        return set(self.cloud.records.accepted) <= set(self.cloud.records.finished)

    async def assert_true(self) -> None:
        """Invariants 1 to 5, as far as this fake can see them."""
        view = await self.at_rest()
        ec2_state, kept = self.cloud.ec2_state, self.cloud.records
        assert ec2_state.violations == []
        assert kept.violations == []
        assert not kept.intended, "invariant 3: intended, and neither made nor given up"
        assert ec2_state.owned() == _real(kept.holds), "invariant 3: the ledger is what exists"
        primary = view.shape.primary
        if not view.ended:
            assert primary is not None
            assert kept.primary == primary.instance_id, "invariant 1: records and shape agree"
            assert primary.instance_id in ec2_state.serving, "the primary serves"
        wanted = {p.instance_id for p in (view.shape.primary, view.shape.replica) if p}
        assert ec2_state.made_by_operation() <= wanted, "nothing is left behind"
        assert len(set(kept.accepted)) == len(kept.accepted), "invariant 4: accepted once"

    async def end(self) -> None:
        """Nothing of this test runs on into the next."""
        names = [operation_workflow_id(one) for one in self.cloud.records.accepted]
        for workflow_id in (self.handle.id, *names):
            with suppress(RPCError):
                await self.client.get_workflow_handle(workflow_id).terminate()


def adopted_shape(cloud: FakeCloud, ref: ServerRef, *, replica: bool, replica_id: str = REPLICA) -> ServerShape:
    """As AdoptWorkflow leaves a server: tagged, recorded, with a primary; and a replica if asked for."""
    ec2_state, kept = cloud.ec2_state, cloud.records
    cloud.server_id = ref.server_id
    tags = ownership_tags(ref.client_id, ref.server_id, "")
    tags.popitem()  # adopted, so no operation made it
    if replica:
        ec2_state.add(replica_id, SPOT_2, tags=tags, serving=not ec2_state.stateful)
        kept.states[replica_id] = InstanceState.RUNNING_REPLICA
        kept.ledger[f"sir-{replica_id}"] = f"sir-{replica_id}"
    for one in ec2_state.instances.values():
        one.tags.update(tags)
        kept.ledger[one.instance_id] = one.instance_id
    for volume in ec2_state.volumes.values():
        volume.tags.update(tags)
        kept.ledger[volume.volume_id] = volume.volume_id
    kept.states[OLD], kept.primary = InstanceState.RUNNING_PRIMARY, OLD
    return ServerShape(
        primary=ec2_state.placement(OLD),
        replica=ec2_state.placement(replica_id) if replica else None,
        filesystems=ec2_state.filesystems,
        blueprint=ec2_state.blueprint(OLD),
    )


def _real(held: set[str]) -> set[str]:
    """Addresses are followed by what they belong to: the fake keeps no tags of theirs."""
    return {one for one in held if not one.startswith("eipalloc-")}


def _has_taken_up(events: Sequence[HistoryEvent], signal: str) -> bool:
    """A task was completed after the signal came: its handler has run."""
    came = [event.event_id for event in events if _is_signal(event, signal)]
    done = [event.event_id for event in events if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED]
    return bool(came and done and done[-1] > came[0])


def _is_signal(event: HistoryEvent, signal: str) -> bool:
    if signal == CANCELLATION:
        return event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    return event.workflow_execution_signaled_event_attributes.signal_name == signal


def steps(receipt: Receipt) -> list[str]:
    return [step.name for step in receipt.steps]


def committed(result: OperationResult) -> OperationResult:
    assert result.outcome is Outcome.COMMITTED, result.receipt.reason
    return result


def rolled_back(result: OperationResult) -> OperationResult:
    assert result.outcome is Outcome.ROLLED_BACK, f"{result.outcome}: {result.receipt.reason}"
    return result
