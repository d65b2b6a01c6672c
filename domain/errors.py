"""Failure types that cross a process boundary, by name.

Temporal carries a failure's type as a string; workflows decide by these names.

    NoCapacity          this pool has none now                -> next pool
    LimitReached        a quota of the account, this lifecycle -> another kind of pool
    Refused             would lose something, or is impossible -> stop before anything is launched
    PermissionMissing   IAM denies a named action              -> stop, say which
    Throttled           EC2 asks to slow down                  -> retry
    NotYet              waited-for state not reached           -> retry (this is the poll loop)
    Gone                the resource no longer exists          -> depends on who asks
    BadState            the resource is in a state that will never become the one waited for
    HostFailed          a host activity failed: hook, mount, health
    Unexplained         before and after differ without a reason
    Unavailable         AWS cannot be reached or answers 5xx   -> retry
"""

from __future__ import annotations

from enum import StrEnum


class Failure(StrEnum):
    NO_CAPACITY = "NoCapacity"
    LIMIT_REACHED = "LimitReached"
    REFUSED = "Refused"
    PERMISSION_MISSING = "PermissionMissing"
    THROTTLED = "Throttled"
    NOT_YET = "NotYet"
    GONE = "Gone"
    BAD_STATE = "BadState"
    HOST_FAILED = "HostFailed"
    UNEXPLAINED = "Unexplained"
    UNAVAILABLE = "Unavailable"


TRY_NEXT_POOL = frozenset({Failure.NO_CAPACITY, Failure.LIMIT_REACHED})
FINAL = frozenset(
    {
        Failure.NO_CAPACITY,
        Failure.LIMIT_REACHED,
        Failure.REFUSED,
        Failure.PERMISSION_MISSING,
        Failure.GONE,
        Failure.BAD_STATE,
        Failure.UNEXPLAINED,
    }
)
