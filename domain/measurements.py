"""What a record says about how long something took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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
