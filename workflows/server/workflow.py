"""ServerWorkflow: the only writer of a server's shape.

Everything that wants to change a server asks here, by update. It accepts or refuses at once, orders
what it accepted by priority, runs one operation at a time as a child workflow, and continues as new
before its history is too long to be replayed in a moment. A notice comes as a signal, from wherever it was heard first.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

from domain import admission
from domain.host import Notice
from domain.names import operation_id
from domain.operations import (
    QUERY_STATE,
    AcceptedRequest,
    CommitReport,
    OperationKind,
    OperationRequest,
    OperationResult,
    Outcome,
    Refusal,
    ServerInput,
    ServerView,
)
from domain.servers import ServerPolicy, ServerShape
from workflows.server.host_watch import HostWatches
from workflows.server.notice_responder import NoticeResponder
from workflows.server.operation_queue import OperationQueue, RunningOperation
from workflows.server.records import ServerRecorder
from workflows.server.state import REQUESTS_KEPT, ServerState

_READ_YOUR_WRITE_S = 2.0
LONGEST_HISTORY = 400  # events of a run, some nine operations: a quarter of a second to replay


@workflow.defn
class ServerWorkflow:
    @workflow.init
    def __init__(self, start: ServerInput) -> None:
        self.state = ServerState(start)
        self.recorder = ServerRecorder(start)
        self.queue = OperationQueue(start.last_operation, start.outcomes)
        self.notice_responder = NoticeResponder(self.state, self.queue, self.recorder, self._accept)
        self.watches = HostWatches(
            self.state, on_notice=self.notice_responder.take, on_lost=self.notice_responder.take_lost
        )

    @workflow.run
    async def run(self, start: ServerInput) -> None:
        self.watches.follow(self.state.shape)
        while not self._is_over():
            await workflow.wait_condition(lambda: self.queue.may_start() or self._may_continue() or self._is_over())
            if self.queue.may_start():
                await self._start_next()
            elif self._may_continue():
                await self._continue_as_new()
        await self.watches.stop()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self.recorder.flush()

    def _is_over(self) -> bool:
        return self.state.ended and self.queue.idle

    # --- what may be asked

    @workflow.update
    async def request(self, request: OperationRequest) -> AcceptedRequest:
        """Accept or refuse at once. The same request ID again is the same operation (invariant 4)."""
        await _begin_update_with_command()
        operation = operation_id(self.state.server.server_id, request.request_id)
        if (digest := self.state.digest_of(request.request_id)) is not None:
            if request.body_digest and digest and digest != request.body_digest:
                raise _refused(Refusal.REQUEST_ID_REUSED, "this request ID was used for another request")
            return AcceptedRequest(operation, self.queue.status_of(operation), repeated=True)
        if refusal := admission.why_refused(request, self.state.shape, self.state.ended, self.queue.busy):
            raise _refused(*refusal)
        self._accept(request)
        # So that who asked can read the operation at once; an emergency's records may be late.
        await self.recorder.flush_within(_READ_YOUR_WRITE_S)
        return AcceptedRequest(operation)

    @workflow.update
    async def change_policy(self, policy: ServerPolicy) -> None:
        await _begin_update_with_command()
        self.state.change_policy(policy)
        self.recorder.policy_changed(policy)
        await self.recorder.flush_within(_READ_YOUR_WRITE_S)

    @workflow.signal
    def notice(self, notice: Notice) -> None:
        self.notice_responder.take(notice)

    @workflow.signal
    async def cancel_operation(self, operation: str) -> None:
        """A queued operation is dropped; a running one stops before its commit, or goes on after it."""
        if dropped := self.queue.drop(operation):
            reason = f"cancelled while queued ({dropped.kind.value})"
            self.recorder.operation_ended(operation, Outcome.CANCELLED, reason)
        elif running := await self._running(operation):
            await running.abort("cancelled by request")

    @workflow.signal
    async def operation_settled(self, committed: CommitReport) -> None:
        """An operation has committed: the server has its new shape, while the operation still tidies up."""
        if (running := await self._running(committed.operation_id)) and not running.committed:
            running.committed = True
            self._take_committed(running, committed.shape)
            self.notice_responder.committed(running)

    async def _running(self, operation: str) -> RunningOperation | None:
        """The running operation of this ID. A signal about one that is being started waits until it is: a workflow
        task that tells both that its child workflow has started and a signal hands over the signal first.

        Without the wait, an operation that commits at once reported in vain on a busy machine: the server still watched
        the instance that was being ended, took its end for a loss, and asked for a rescue or for another replica.
        """
        if self.queue.is_starting(operation):
            await workflow.wait_condition(lambda: not self.queue.is_starting(operation))
        return self.queue.find_running(operation)

    @workflow.query(name=QUERY_STATE)
    def view(self) -> ServerView:
        shape, ended = self.state.shape, self.state.ended
        return ServerView(shape, self.queue.running_view(), self.queue.waiting_views(), ended)

    # --- one operation at a time

    def _accept(self, request: OperationRequest) -> None:
        operation = operation_id(self.state.server.server_id, request.request_id)
        self.state.remember_request(request)
        self.queue.add(operation, request)
        if request.kind is OperationKind.LAUNCH:
            self.recorder.described(self.state.server, self.state.policy)
        for running in self.queue.keeping_old():
            _stop_keeping_old(running)
        self.recorder.accepted(operation, request)

    async def _start_next(self) -> None:
        waiting, kept = self.queue.take(), self.state
        if refusal := admission.why_refused(waiting.request, kept.shape, kept.ended, busy=False):
            # The request was valid when it was accepted, and no longer is.
            self.recorder.operation_ended(waiting.operation_id, Outcome.CANCELLED, refusal[1])
            self.queue.not_started(waiting)
            return
        running = await RunningOperation.start(waiting, kept.server, kept.policy, kept.shape, self.queue.last_operation)
        self.queue.started(running)
        self.notice_responder.started(running)
        running.follower = asyncio.create_task(self._follow(running))
        if self.queue.delays_queue(running):
            _stop_keeping_old(running)

    async def _follow(self, running: RunningOperation) -> None:
        result = await running.result()
        if running.ended_without_result:
            # It recorded no end, and the records of the next operation wait for one.
            self.recorder.operation_ended(running.operation_id, result.outcome, result.receipt.reason)
        self._take_result(running, result)
        self.queue.finished(running, result.outcome)
        self.notice_responder.ended(running, result)
        await _end_operation_with_command()

    def _take_result(self, running: RunningOperation, result: OperationResult) -> None:
        if running.committed or result.outcome is Outcome.COMMITTED:
            if not running.committed or running is self.queue.latest:
                self._take_committed(running, result.shape)
        else:
            self.state.take_undone(result.shape)
        if result.ended:
            self._end("released" if running.kind is OperationKind.RELEASE else "terminated")
        elif self._launch_failed(running, result):
            self._end("never launched")

    def _take_committed(self, running: RunningOperation, shape: ServerShape) -> None:
        self.state.take_committed(running.shape, shape)
        self.watches.follow(self.state.shape)

    def _launch_failed(self, running: RunningOperation, result: OperationResult) -> bool:
        """Nothing is left of the launch. The name is free again, and whoever wants the server describes it again."""
        undone = result.outcome in (Outcome.ROLLED_BACK, Outcome.CANCELLED)
        return running.kind is OperationKind.LAUNCH and undone and self.state.shape.primary is None

    def _end(self, how: str) -> None:
        self.state.end()
        self.recorder.server_ended(how)

    # --- continue as new

    def _may_continue(self) -> bool:
        """When nothing is under way, records included: nothing may be awaited in between."""
        return (
            not self.state.ended
            and self.queue.idle
            and self.recorder.caught_up
            and workflow.all_handlers_finished()
            and _is_long()
        )

    async def _continue_as_new(self) -> None:
        await self.watches.stop()
        if not self._may_continue():  # something was asked meanwhile
            self.watches.follow(self.state.shape)
            return
        outcomes = self.queue.outcomes(REQUESTS_KEPT)
        workflow.continue_as_new(self.state.next_input(self.queue.last_operation, self.recorder.seq, outcomes))


def _stop_keeping_old(running: RunningOperation) -> None:
    asyncio.create_task(running.stop_keeping_old())  # noqa: RUF006 - nothing waits for it; Temporal keeps the task


def _is_long() -> bool:
    """Long before Temporal suggests it (4096 events): a worker that takes the server up replays the whole run within
    one workflow task. When it is not done in `WORKFLOW_TASK_S` it begins again, and again in vain. Replaying 2300
    events took 1.4 s of a processor: a request got no answer for 90 s.
    """
    info = workflow.info()
    return info.is_continue_as_new_suggested() or info.get_current_history_length() > LONGEST_HISTORY


async def _end_operation_with_command() -> None:
    """A command, so that no workflow task in which an operation ends is without one: see the next function."""
    await workflow.sleep(timedelta(milliseconds=1))


async def _begin_update_with_command() -> None:
    """What an update does first: a command, and nothing that depends on what else the workflow has just heard.

    The SDK's core joins tasks that have no commands with the update's task, but only while the update's is new. A
    worker that had to replay takes up the update before what those tasks told, and whoever replays its history takes
    it up after it. The commands came in two orders, and the server stood still for good (temporalio/sdk-rust issues
    1146 and 1606, temporalio/sdk-python issue 1591). tests/workflows/test_uncached_worker.py shows it.
    """
    await workflow.sleep(timedelta(milliseconds=1))


def _refused(refusal: Refusal, words: str) -> ApplicationError:
    return ApplicationError(words, type=refusal.value, non_retryable=True)
