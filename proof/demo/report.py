"""`report.json`: every operation with its figures, and whether the invariants held."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proof.harness.api_client import Operation
from proof.harness.observer import Writes
from proof.harness.outage import Sample, Window, outage_ms


@dataclass(frozen=True)
class OperationReport:
    """One operation. `outage_ms` and the writes are seen from outside, by the server's clients."""

    id: str
    workflow_id: str
    server: str
    kind: str
    handoff: str
    from_pool: str
    to_pool: str
    outcome: str
    requested_at: str
    finished_at: str | None
    outage_ms: int
    steps: list[dict[str, Any]]
    writes_acknowledged: int
    writes_lost: int
    unexplained_changes: int
    calls: int
    hourly_before: float
    hourly_after: float


@dataclass(frozen=True)
class Invariants:
    one_primary: bool = False
    writes_lost: int = 0
    orphans: list[str] = field(default_factory=list)
    duplicates: int = 0
    events_missed: int = 0


@dataclass(frozen=True)
class Report:
    operations: list[OperationReport]
    invariants: Invariants
    aws: str = "lab, profile fast"

    def write(self, path: Path) -> None:
        """Write the whole file or none of it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_text(json.dumps(asdict(self), indent=2) + "\n")
        beside.replace(path)


@dataclass(frozen=True)
class Check:
    """Something that has to hold, whether it did, and the figures that say so.

    `timed`: it depends on how fast the machine is.
    """

    name: str
    held: bool
    figures: str = ""
    timed: bool = False


def operation_report(
    operation: Operation,
    server: str,
    clients: Iterable[Sequence[Sample]],
    writes: Writes,
    then: float = math.inf,
) -> OperationReport:
    """The operation with what clients saw in its window. An operation that never finished has no window.

    `then`: when the next operation of its server was requested.
    """
    finished = operation.finished_at
    window = Window.around(operation.requested_at, finished, then) if finished is not None else None
    receipt = operation.receipt
    return OperationReport(
        id=operation.id,
        workflow_id=operation.workflow_id,
        server=server,
        kind=operation.kind,
        handoff=_text(receipt, "handoff") or operation.handoff,
        from_pool=operation.from_pool,
        to_pool=operation.to_pool,
        outcome=operation.outcome,
        requested_at=_instant(operation.requested_at),
        finished_at=_instant(finished) if finished is not None else None,
        outage_ms=outage_ms(clients, window) if window else 0,
        steps=[{"name": one.name, "started_at": one.started_at, "ms": one.ms} for one in operation.steps],
        writes_acknowledged=_within(writes.acknowledged, window),
        writes_lost=_within(writes.lost, window),
        unexplained_changes=int(receipt.get("unexplained_changes") or 0),
        calls=int(receipt.get("calls") or 0),
        hourly_before=float(receipt.get("hourly_before") or 0.0),
        hourly_after=float(receipt.get("hourly_after") or 0.0),
    )


def _within(instants: Sequence[float], window: Window | None) -> int:
    return sum(1 for instant in instants if window and window.touches(instant, instant))


def _text(receipt: Mapping[str, Any], name: str) -> str:
    return str(receipt.get(name) or "")


def _instant(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat()
