"""What a server does about a notice (DESIGN, "An emergency meets a running operation")."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from temporalio import workflow

from domain.host import Notice, NoticeKind, NoticeSource
from domain.operations import OperationKind, OperationRequest, OperationResult, Outcome, Priority
from domain.records import RecordKind
from domain.servers import Placement
from workflows.server.operation_queue import RunningOperation

if TYPE_CHECKING:
    from workflows.server.workflow import ServerWorkflow

_RESCUES = frozenset({OperationKind.SWITCH, OperationKind.PROMOTE, OperationKind.FAILOVER})


class NoticeResponder:
    def __init__(self, server: ServerWorkflow, known: list[str]) -> None:
        self._server = server
        self.known = list(known)
        self._doomed: dict[str, Notice] = {}  # instance ID -> its interruption notice

    def take(self, notice: Notice) -> None:
        """One notice, whichever way it comes first; a later word of it only adds its source."""
        first = notice.notice_id not in self.known
        self._record(notice)
        if not first:
            if notice.source is NoticeSource.LOST:
                self._rescue_if_lost(notice)
            return
        self.known.append(notice.notice_id)
        if notice.kind is NoticeKind.REBALANCE:
            return  # an input for decisions, not a command
        self._doomed[notice.instance_id] = notice
        self._cool_down_pool_of(notice.instance_id)
        self._act(notice)

    def _act(self, notice: Notice) -> None:
        server, shape = self._server, self._server.shape
        running = server.queue.uncommitted
        if running and running.kind in _RESCUES:
            # It is the rescue, or it has to let go of its replacement: the operation knows which.
            asyncio.create_task(running.send_notice(notice))  # noqa: RUF006
        elif shape.primary and shape.primary.instance_id == notice.instance_id:
            if running and running.kind not in (OperationKind.TERMINATE, OperationKind.RELEASE):
                asyncio.create_task(running.abort(f"interruption of {notice.instance_id}"))  # noqa: RUF006
            self.rescue(notice, again=self._retry_suffix(notice))
        elif running and running.kind is OperationKind.REPLICA_CREATE:
            asyncio.create_task(running.send_notice(notice))  # noqa: RUF006
        elif shape.replica and shape.replica.instance_id == notice.instance_id:
            self._replace_replica(notice)

    def _retry_suffix(self, notice: Notice) -> str:
        """Heard for the first time, but asked for before: that rescue was lost with the workflow that began it."""
        asked = f"notice/{notice.notice_id}" in self._server.requests
        return f"/{notice.seen_at.isoformat()}" if asked else ""

    def _rescue_if_lost(self, notice: Notice) -> None:
        """A warning is heard once; that its instance is gone, with nothing under way and the server still on it,
        says that whatever was done about the warning came to nothing. Reconciliation says so, ever less often."""
        primary = self._server.shape.primary
        if not primary or primary.instance_id != notice.instance_id or self._server.queue.busy:
            return  # with something under way, its end looks at what is doomed
        self._doomed[notice.instance_id] = notice
        self.rescue(notice, again=f"/{notice.seen_at.isoformat()}")

    def rescue(self, notice: Notice, again: str = "") -> None:
        request = OperationRequest(
            request_id=f"notice/{notice.notice_id}{again}",
            kind=OperationKind.FAILOVER,
            priority=Priority.EMERGENCY,
            requested_by="notice",
            notice=notice,
        )
        if request.request_id not in self._server.requests:
            self._server.accept(request)

    def started(self, running: RunningOperation) -> None:
        """What was said while its workflow was being started, it has not heard."""
        primary = running.shape.primary
        notice = self._doomed.get(primary.instance_id) if primary else None
        if notice and running.kind in _RESCUES and running.request.notice is None:
            asyncio.create_task(running.send_notice(notice))  # noqa: RUF006

    def committed(self, running: RunningOperation) -> None:
        """What serves from now on may be doomed already: its rescue does not wait for the tidying up."""
        primary = self._server.shape.primary
        if primary and primary != running.shape.primary and (notice := self._doomed.get(primary.instance_id)):
            self._rescue_again(notice, running)

    def after(self, running: RunningOperation, result: OperationResult) -> None:
        """When an operation has ended: is what now serves doomed? Then it is rescued."""
        primary = self._server.shape.primary
        if primary and (notice := self._doomed.get(primary.instance_id)):
            tried = running.request.notice
            if tried and tried.instance_id == primary.instance_id and result.outcome is Outcome.CANCELLED:
                return  # a person cancelled this rescue
            self._rescue_again(notice, running)
        replica = self._server.shape.replica
        if replica and (notice := self._doomed.get(replica.instance_id)):
            self._replace_replica(notice)

    def _rescue_again(self, notice: Notice, after: RunningOperation) -> None:
        """A request ID of its own: the first try at this notice has ended, and the server still runs there."""
        if self._server.queue.has(OperationKind.FAILOVER):
            return
        if f"notice/{notice.notice_id}" not in self._server.requests:
            self.rescue(notice)
        elif after.kind is not OperationKind.FAILOVER:
            self.rescue(notice, again=f"/{after.operation_id}")

    def _replace_replica(self, notice: Notice) -> None:
        """A doomed replica is ended, and another made in another pool: its owner wanted one. Unless it is to be dropped
        anyway: its owner wants none, and would be left with the new one."""
        if self._server.queue.drops_replica:
            return
        for kind in (OperationKind.REPLICA_DROP, OperationKind.REPLICA_CREATE):
            request_id = f"notice/{notice.notice_id}/{kind.value}"
            if request_id not in self._server.requests:
                self._server.accept(
                    OperationRequest(request_id, kind, Priority.URGENT, requested_by="notice", notice=notice)
                )

    def lost(self, placement: Placement) -> None:
        """No notice came: the instance was found gone."""
        now = workflow.now()
        self.take(Notice(placement.instance_id, NoticeKind.INTERRUPTION, NoticeSource.LOST, now, deadline=now))

    def _cool_down_pool_of(self, instance_id: str) -> None:
        """A pool that gave a notice is left alone until its cool-down ends (invariant 10)."""
        shape = self._server.shape
        for placement in (shape.primary, shape.replica):
            if placement and placement.instance_id == instance_id:
                until = workflow.now().timestamp() + self._server.policy.cool_down_s
                self._server.shape = replace(shape, cool_downs={**shape.cool_downs, placement.pool: until})
                self._server.recorder.add(
                    RecordKind.POOL_COOL_DOWN, pool=placement.pool, until=_iso(until), reason="interruption notice"
                )

    def _record(self, notice: Notice) -> None:
        self._server.recorder.add(
            RecordKind.NOTICE,
            notice_id=notice.notice_id,
            instance_id=notice.instance_id,
            kind=notice.kind.value,
            source=notice.source.value,
            action=notice.action,
            deadline=notice.deadline.isoformat() if notice.deadline else None,
            seen_at=notice.seen_at.isoformat(),
        )


def _iso(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat()
