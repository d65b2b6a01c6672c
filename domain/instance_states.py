"""The states of an instance in a server's life, and the only legal moves between them."""

from __future__ import annotations

from enum import StrEnum


class InstanceState(StrEnum):
    LAUNCHING = "launching"
    RUNNING_REPLICA = "running_replica"
    PROMOTING = "promoting"
    RUNNING_PRIMARY = "running_primary"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    FAILED = "failed"
    RELEASED = "released"  # let go by its owner: runs on, no longer ours


class IllegalMove(Exception):
    """An instance was asked to go from one state to another that EC2 or we do not allow."""


_S = InstanceState
_MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    _S.LAUNCHING: frozenset({_S.RUNNING_REPLICA, _S.PROMOTING, _S.RUNNING_PRIMARY, _S.TERMINATING, _S.FAILED}),
    _S.RUNNING_REPLICA: frozenset({_S.PROMOTING, _S.TERMINATING, _S.FAILED, _S.RELEASED}),
    # A promotion that is undone leaves the instance a replica again, until it is terminated.
    _S.PROMOTING: frozenset({_S.RUNNING_PRIMARY, _S.RUNNING_REPLICA, _S.TERMINATING, _S.FAILED}),
    # A former primary becomes a replica when a promotion keeps it.
    _S.RUNNING_PRIMARY: frozenset({_S.RUNNING_REPLICA, _S.TERMINATING, _S.FAILED, _S.RELEASED}),
    _S.TERMINATING: frozenset({_S.TERMINATED, _S.FAILED}),
    _S.FAILED: frozenset({_S.TERMINATING, _S.TERMINATED}),
    _S.TERMINATED: frozenset(),
    _S.RELEASED: frozenset(),
}


def change_state(now: InstanceState, then: InstanceState) -> InstanceState:
    """Return `then` if the change is legal; the same state again is fine. Raise IllegalMove."""
    if then is not now and then not in _MOVES[now]:
        raise IllegalMove(f"an instance cannot go from {now.value} to {then.value}")
    return then


ENDED = frozenset({_S.TERMINATED, _S.RELEASED})
