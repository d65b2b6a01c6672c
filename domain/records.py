"""Records: what an operation writes beside its work, in order.

A workflow hands its records to the activity `fleet_record`, a batch at a time, each with the
sequence number of its stream (the workflow's ID). The activity applies those it has not applied
yet, each with its event, in one transaction: done twice, it is done once. Records of an operation
wait for those of the server's operation before it (`after`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

RECORD = "fleet_record"  # RecordBatch -> int: the highest sequence number applied
COOL_DOWNS = "fleet_cool_downs"  # CoolDownsInput -> CoolDowns


class RecordKind(StrEnum):
    """Payloads are JSON objects; keys in brackets are optional. Instants are ISO 8601 UTC strings."""

    # server/<id> stream
    SERVER_ADOPTED = "server_adopted"  # name, region, account_id, policy{}, handoff, moves[]
    SERVER_POLICY = "server_policy"  # policy{}
    SERVER_ENDED = "server_ended"  # how: terminated | released
    OPERATION_ACCEPTED = "operation_accepted"  # operation_id, kind, priority, request_id, digest, pool, requested_by
    OPERATION_ENDED = (
        "operation_ended"  # operation_id, outcome, reason  (one that never started: cancelled while queued)
    )
    NOTICE = "notice"  # notice_id, instance_id, kind, source, action, deadline, seen_at, [operation_id, handled]
    # operation/<id> stream
    OPERATION_STARTED = "operation_started"  # kind, handoff, from_pool
    STEP_STARTED = "step_started"  # step
    STEP_ENDED = "step_ended"  # step, ms, ok, calls[], hooks[], note
    OPERATION_ATTENTION = "operation_attention"  # reason
    OPERATION_FINISHED = "operation_finished"  # outcome, reason, receipt{}
    # instance_id, state, [role, pool, zone, private_ip, spot_request_id, usd_per_hour, reason,
    # launch_requested_at, launch_confirmed_at, terminate_requested_at, terminate_confirmed_at]
    INSTANCE = "instance"
    PRIMARY = "primary"  # instance_id, [former_instance_id, former_state]: the commit, one transaction
    RESOURCE_INTENDED = "resource_intended"  # token, type, step, details{}
    RESOURCE_MADE = "resource_made"  # token, type, resource_id  (several with one token: token/n)
    RESOURCE_ADOPTED = "resource_adopted"  # type, resource_id
    RESOURCE_GONE = "resource_gone"  # resource_id or token, how: deleted | never_made | released
    POOL_COOL_DOWN = "pool_cool_down"  # pool, until, reason


@dataclass(frozen=True)
class Record:
    seq: int  # from 1, no gaps, per stream
    at: datetime
    kind: RecordKind
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RecordBatch:
    """`after`: streams whose last record must be applied first (empty: none)."""

    stream: str
    client_id: str
    server_id: str
    operation_id: str  # empty for the server's own stream
    records: list[Record]
    after: str = ""  # operation ID that must have its `operation_finished`/`ended` record
    workflow_run_id: str = ""


@dataclass(frozen=True)
class CoolDownsInput:
    client_id: str
    region: str


@dataclass(frozen=True)
class CoolDowns:
    """Pools that gave a notice or had no capacity, until when (epoch seconds). Invariant 10."""

    until: dict[str, float] = field(default_factory=dict)


class MeasureKind(StrEnum):
    LAUNCH = "launch"
    TERMINATION = "termination"
    OPERATION = "operation"  # to its end
    SWITCH = "switch"  # to its commit
    FAILOVER = "failover"  # to its commit
    OUTAGE = "outage"
    STEP = "step"
    TIME_LEFT = "time_left"  # of a notice, at the commit
    NOTICE = "notice"  # counted, as the following
    CAPACITY = "capacity"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Measurement:
    measure: MeasureKind
    seconds: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
