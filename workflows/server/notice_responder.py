"""What a server does about a notice: docs/design.md has the same table in words, with the reasons.

A notice means something by whose instance it is about and by what is under way: `REACTIONS`. The responder looks at
the server's state and queue, and asks for operations; it changes no shape itself, but for the pool that rests.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum

from temporalio import workflow

from domain.host import Notice, NoticeKind, NoticeSource
from domain.operations import OperationKind, OperationRequest, OperationResult, Outcome, Priority
from domain.servers import Placement, ServerShape
from workflows.server.operation_queue import OperationQueue, RunningOperation
from workflows.server.records import ServerRecorder
from workflows.server.state import ServerState


class Role(StrEnum):
    """Whose instance a notice is about."""

    PRIMARY = "primary"
    REPLICA = "replica"
    OTHER = "other"  # a replacement, or one that the server no longer has


class Reaction(StrEnum):
    NOTHING = "nothing"
    TELL = "tell"  # the running operation: it is the rescue, or has to let go of its replacement
    RESCUE = "rescue"
    ABORT_AND_RESCUE = "abort_and_rescue"
    REPLACE_REPLICA = "replace_replica"


_K = OperationKind
_RESCUES = (_K.SWITCH, _K.PROMOTE, _K.FAILOVER)
_Row = dict[OperationKind | None, Reaction]
# By the kind of the operation that has not committed; None: there is none.
REACTIONS: dict[Role, _Row] = {
    Role.PRIMARY: {
        **dict.fromkeys(_RESCUES, Reaction.TELL),
        **dict.fromkeys((_K.LAUNCH, _K.REPLICA_CREATE, _K.REPLICA_DROP), Reaction.ABORT_AND_RESCUE),
        **dict.fromkeys((None, _K.TERMINATE, _K.RELEASE), Reaction.RESCUE),
    },
    Role.REPLICA: {
        **dict.fromkeys((*_RESCUES, _K.REPLICA_CREATE), Reaction.TELL),
        **dict.fromkeys((None, _K.LAUNCH, _K.REPLICA_DROP, _K.TERMINATE, _K.RELEASE), Reaction.REPLACE_REPLICA),
    },
    Role.OTHER: {
        **dict.fromkeys((*_RESCUES, _K.REPLICA_CREATE), Reaction.TELL),
        **dict.fromkeys((None, _K.LAUNCH, _K.REPLICA_DROP, _K.TERMINATE, _K.RELEASE), Reaction.NOTHING),
    },
}


def role_of(instance_id: str, shape: ServerShape) -> Role:
    if shape.primary and shape.primary.instance_id == instance_id:
        return Role.PRIMARY
    if shape.replica and shape.replica.instance_id == instance_id:
        return Role.REPLICA
    return Role.OTHER


class NoticeResponder:
    def __init__(
        self,
        state: ServerState,
        queue: OperationQueue,
        recorder: ServerRecorder,
        accept: Callable[[OperationRequest], object],
    ) -> None:
        self._state = state
        self._queue = queue
        self._recorder = recorder
        self._accept = accept
        self._doomed: dict[str, Notice] = {}  # instance ID -> its interruption notice
        self._react: dict[Reaction, Callable[[Notice], None]] = {
            Reaction.NOTHING: lambda notice: None,
            Reaction.TELL: self._tell,
            Reaction.RESCUE: self._rescue,
            Reaction.ABORT_AND_RESCUE: self._abort_and_rescue,
            Reaction.REPLACE_REPLICA: self._replace_replica,
        }

    # --- a notice

    def take(self, notice: Notice) -> None:
        """A notice may come in several ways. The first one counts; a later one only adds its source to the record."""
        first = self._state.hear(notice.notice_id)
        self._recorder.noticed(notice)
        if not first:
            if notice.source is NoticeSource.LOST:
                self._rescue_if_lost(notice)
            return
        if notice.kind is NoticeKind.REBALANCE:
            return  # an input for decisions, not a command
        self._doomed[notice.instance_id] = notice
        self._rest_pool_of(notice.instance_id)
        running = self._queue.uncommitted
        role = role_of(notice.instance_id, self._state.shape)
        self._react[REACTIONS[role][running.kind if running else None]](notice)

    def take_lost(self, placement: Placement) -> None:
        """No notice came: the instance was found gone."""
        now = workflow.now()
        self.take(Notice(placement.instance_id, NoticeKind.INTERRUPTION, NoticeSource.LOST, now, deadline=now))

    def _rescue_if_lost(self, notice: Notice) -> None:
        """The instance is gone, nothing is under way, and the server is still on it: what was done about an earlier
        notice has failed. Reconciliation reports it again and again, in growing intervals."""
        if role_of(notice.instance_id, self._state.shape) is not Role.PRIMARY or self._queue.busy:
            return  # when the running operation ends, the server checks what is doomed
        self._doomed[notice.instance_id] = notice
        self._request_rescue(notice, again=f"/{notice.seen_at.isoformat()}")

    def _rest_pool_of(self, instance_id: str) -> None:
        """A pool that gave a notice is left alone until its cool-down ends (invariant 10)."""
        if placement := self._state.placement_of(instance_id):
            until = workflow.now().timestamp() + self._state.policy.cool_down_s
            self._state.rest_pool(placement.pool, until)
            self._recorder.pool_rests(placement.pool, until, "interruption notice")

    # --- an operation

    def started(self, running: RunningOperation) -> None:
        """It has not heard a notice that came while its workflow was being started."""
        primary = running.shape.primary
        notice = self._doomed.get(primary.instance_id) if primary else None
        if notice and running.kind in _RESCUES and running.request.notice is None:
            _send(running.send_notice(notice))

    def committed(self, running: RunningOperation) -> None:
        """The new primary may be doomed already. Its rescue does not wait until the old instance has ended."""
        primary = self._state.shape.primary
        if primary and primary != running.shape.primary and (notice := self._doomed.get(primary.instance_id)):
            self._rescue_after(running, notice)

    def ended(self, running: RunningOperation, result: OperationResult) -> None:
        """If the instance that serves now is doomed, it is rescued."""
        primary, replica = self._state.shape.primary, self._state.shape.replica
        if primary and (notice := self._doomed.get(primary.instance_id)):
            tried = running.request.notice
            if tried and tried.instance_id == primary.instance_id and result.outcome is Outcome.CANCELLED:
                return  # a person cancelled this rescue
            self._rescue_after(running, notice)
        if replica and (notice := self._doomed.get(replica.instance_id)):
            self._replace_replica(notice)

    # --- reactions

    def _tell(self, notice: Notice) -> None:
        if running := self._queue.uncommitted:
            _send(running.send_notice(notice))

    def _abort_and_rescue(self, notice: Notice) -> None:
        if running := self._queue.uncommitted:
            _send(running.abort(f"interruption of {notice.instance_id}"))
        self._rescue(notice)

    def _rescue(self, notice: Notice) -> None:
        """A first notice whose rescue was requested before: that one was lost with the workflow that began it."""
        asked = self._state.was_requested(_request_id(notice))
        self._request_rescue(notice, again=f"/{notice.seen_at.isoformat()}" if asked else "")

    def _rescue_after(self, running: RunningOperation, notice: Notice) -> None:
        """The first rescue has ended, and the server still runs there: another one, with a request ID of its own."""
        if self._queue.has(OperationKind.FAILOVER):
            return
        if not self._state.was_requested(_request_id(notice)):
            self._request_rescue(notice)
        elif running.kind is not OperationKind.FAILOVER:
            self._request_rescue(notice, again=f"/{running.operation_id}")

    def _request_rescue(self, notice: Notice, again: str = "") -> None:
        self._request(_request_id(notice) + again, OperationKind.FAILOVER, Priority.EMERGENCY, notice)

    def _replace_replica(self, notice: Notice) -> None:
        """A doomed replica is ended, and another one is made in another pool, because its owner wants one. When its
        owner has asked to drop it, no new one is made."""
        if self._queue.drops_replica:
            return
        for kind in (OperationKind.REPLICA_DROP, OperationKind.REPLICA_CREATE):
            self._request(f"{_request_id(notice)}/{kind.value}", kind, Priority.URGENT, notice)

    def _request(self, request_id: str, kind: OperationKind, priority: Priority, notice: Notice) -> None:
        """Once for each request ID."""
        if not self._state.was_requested(request_id):
            self._accept(OperationRequest(request_id, kind, priority, requested_by="notice", notice=notice))


def _request_id(notice: Notice) -> str:
    return f"notice/{notice.notice_id}"


def _send(signal: Coroutine[object, object, None]) -> None:
    asyncio.create_task(signal)  # noqa: RUF006 - nothing waits for it; Temporal keeps the task
