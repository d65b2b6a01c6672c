"""Which requests a server accepts in its present state."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from domain.operations import OperationKind, OperationRequest, Refusal
from domain.servers import ServerPolicy, ServerShape

_NEEDS_PRIMARY = frozenset(
    {
        OperationKind.SWITCH,
        OperationKind.FAILOVER,
        OperationKind.REPLICA_CREATE,
        OperationKind.PROMOTE,
        OperationKind.TERMINATE,
        OperationKind.RELEASE,
    }
)
_NEEDS_REPLICA = frozenset({OperationKind.PROMOTE, OperationKind.REPLICA_DROP})


def why_refused(request: OperationRequest, shape: ServerShape, ended: bool, busy: bool) -> tuple[Refusal, str] | None:
    """None: accepted; else the reason, and what to do."""
    kind = request.kind
    if ended:
        return Refusal.ENDED, "the server has ended; adopt or launch a new one"
    if busy and not request.wait:
        return Refusal.BUSY, "an operation is running; ask again when it has ended, or let this one wait"
    if kind in _NEEDS_PRIMARY and shape.primary is None:
        return Refusal.NO_PRIMARY, "the server has no running primary yet; wait for its launch"
    if kind is OperationKind.LAUNCH and shape.primary is not None:
        return Refusal.BUSY, f"the server runs on {shape.primary.instance_id} already"
    if kind is OperationKind.SWITCH and shape.primary and request.pool == shape.primary.pool:
        return Refusal.SAME_POOL, f"the server is in {request.pool} already"
    if kind in _NEEDS_REPLICA and shape.replica is None:
        return Refusal.NO_REPLICA, "the server has no replica; make one first"
    if kind is OperationKind.REPLICA_CREATE and shape.replica is not None:
        return Refusal.HAS_REPLICA, f"{shape.replica.instance_id} is its replica already"
    notice = request.notice
    if kind is OperationKind.FAILOVER and notice and shape.primary and notice.instance_id != shape.primary.instance_id:
        return Refusal.ENDED, f"{notice.instance_id} is no longer its primary"
    return None


def policy_json(policy: ServerPolicy) -> dict[str, Any]:
    return asdict(policy)
