"""What a server's workflow writes into the records."""

from __future__ import annotations

from datetime import UTC, datetime

from domain import admission
from domain.host import Notice
from domain.operations import OperationRequest, Outcome, ServerInput
from domain.records import RecordKind
from domain.servers import ServerPolicy, ServerRef
from workflows.recorder import Recorder, as_json


class ServerRecorder(Recorder):
    def __init__(self, start: ServerInput) -> None:
        super().__init__(f"server/{start.server.server_id}", start.server, seq=start.record_seq)

    def described(self, server: ServerRef, policy: ServerPolicy) -> None:
        """A server that was described and not adopted is in the records before it has an instance."""
        self.add(
            RecordKind.SERVER_ADOPTED,
            name=server.name,
            region=server.region,
            policy=as_json(admission.policy_json(policy)),
            handoff=policy.handoff.value,
        )

    def policy_changed(self, policy: ServerPolicy) -> None:
        self.add(RecordKind.SERVER_POLICY, policy=as_json(admission.policy_json(policy)))

    def accepted(self, operation: str, request: OperationRequest) -> None:
        self.add(
            RecordKind.OPERATION_ACCEPTED,
            operation_id=operation,
            kind=request.kind.value,
            priority=int(request.priority),
            request_id=request.request_id,
            digest=request.body_digest,
            pool=request.pool,
            requested_by=request.requested_by,
        )

    def operation_ended(self, operation: str, outcome: Outcome, reason: str) -> None:
        """Of an operation whose workflow says no end of its own."""
        self.add(RecordKind.OPERATION_ENDED, operation_id=operation, outcome=outcome.value, reason=reason)

    def noticed(self, notice: Notice) -> None:
        self.add(
            RecordKind.NOTICE,
            notice_id=notice.notice_id,
            instance_id=notice.instance_id,
            kind=notice.kind.value,
            source=notice.source.value,
            action=notice.action,
            deadline=notice.deadline.isoformat() if notice.deadline else None,
            seen_at=notice.seen_at.isoformat(),
        )

    def pool_rests(self, pool: str, until: float, reason: str) -> None:
        at = datetime.fromtimestamp(until, UTC).isoformat()
        self.add(RecordKind.POOL_COOL_DOWN, pool=pool, until=at, reason=reason)

    def server_ended(self, how: str) -> None:
        self.add(RecordKind.SERVER_ENDED, how=how)
