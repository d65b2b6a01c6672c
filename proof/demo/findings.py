"""What the demo finds at its end, once no operation runs: whether the invariants held, seen from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.hosts import journal
from proof.demo.context import DemoContext
from proof.demo.report import Invariants, Report, operation_report
from proof.harness import audit
from proof.harness.api_client import Operation
from proof.harness.ledger import LedgerReader
from proof.harness.observer import Writes
from proof.harness.waiting import WaitTimedOut, until

_SETTLE_S = 90.0
_LAST_ANSWER_S = 60.0


@dataclass
class Findings:
    """What is known at the end. It begins empty, so that a demo that failed early has a report too."""

    operations: list[Operation] = field(default_factory=list)
    writes: dict[str, Writes] = field(default_factory=dict)
    invariants: Invariants = field(default_factory=Invariants)
    details: dict[str, list[str]] = field(default_factory=dict)  # what an invariant's figure is made of

    def report(self, stage: DemoContext) -> Report:
        names = {server.id: name for name, server in stage.servers.items()}
        rows = []
        for one in self.operations:
            server = names.get(one.server_id, one.server_id)
            samples, writes = stage.observer.samples(server), self.writes.get(server, Writes())
            rows.append(operation_report(one, server, samples, writes, self._next_after(one)))
        return Report(rows, self.invariants)

    def _next_after(self, operation: Operation) -> float:
        """When the next operation of its server was requested."""
        later = [
            one.requested_at
            for one in self.operations
            if one.server_id == operation.server_id and one.requested_at > operation.requested_at
        ]
        return min(later, default=math.inf)


def collect_findings(stage: DemoContext, findings: Findings) -> None:
    """Fill in the findings. When this fails, what was found before stays."""
    _settle(stage, findings)
    stage.observer.stop()
    for server in stage.servers:
        findings.writes[server] = stage.observer.count_writes(server)
    instances = stage.api.instances()
    ledger = LedgerReader(stage.stack.database.url if stage.stack.database else "", stage.stack.credentials.client_id)
    originals = {server.first_instance_id for server in stage.servers.values()}
    doubled = audit.duplicates(_truth(stage), ledger.instances_made(), originals)
    doubled += audit.unrequested(findings.operations, {act.operation_id for act in stage.acts.values()})
    findings.details["duplicates"] = doubled
    findings.details["primaries"] = wrong = _not_one_primary(stage, instances)
    findings.invariants = Invariants(
        one_primary=not wrong,
        writes_lost=sum(len(writes.lost) for writes in findings.writes.values()),
        orphans=_orphans(stage, ledger),
        duplicates=len(doubled),
        events_missed=_missed(stage),
    )


def _settle(stage: DemoContext, findings: Findings) -> None:
    """Wait until nothing is in progress, and clients have seen a second more."""

    def at_rest() -> bool | None:
        unfinished = [*stage.api.operation_ids(status="queued"), *stage.api.operation_ids(status="running")]
        return True if not unfinished else None

    try:
        until("every operation ends", _SETTLE_S, at_rest, every_s=0.2)
    finally:
        findings.operations = stage.api.operations()
    end = max((one.finished_at or 0.0 for one in findings.operations), default=0.0) + 1.0
    for server in stage.servers:
        _watched_until(stage, server, end)


def _watched_until(stage: DemoContext, server: str, end: float) -> None:
    def seen() -> bool | None:
        return True if stage.observer.seen_until(server, end) else None

    until(f"{server} is watched for a second more", _LAST_ANSWER_S, seen)


def _orphans(stage: DemoContext, ledger: LedgerReader) -> list[str]:
    """Differences that stay: the last records may not be written yet."""
    last: list[str] = []

    def agree() -> bool | None:
        last[:] = audit.orphans(_truth(stage), ledger.open_rows())
        return True if not last else None

    try:
        until("EC2 and the ledger agree", _LAST_ANSWER_S, agree, every_s=0.3)
    except WaitTimedOut:
        return last
    return []


def _not_one_primary(stage: DemoContext, instances: Sequence[Mapping[str, Any]]) -> list[str]:
    """Where a server has not exactly one primary, by the records and by the hosts' journal."""
    count = audit.primaries(instances)
    names = {server.id: name for name, server in stage.servers.items()}
    wrong = [f"{name} has {count[server_id]} primaries" for server_id, name in names.items() if count[server_id] != 1]
    owners = {str(row["id"]): names[str(row["server_id"])] for row in instances if row["server_id"] in names}
    lines = journal.read(str(stage.stack.settings.var / "lab"))
    return wrong + audit.overlaps(audit.runs(lines, time.time()), owners)


def _missed(stage: DemoContext) -> int:
    """How many events the reader missed, once it has had time to catch up."""
    head = stage.api.latest_event()
    tally = stage.follower.tally
    try:
        until("the event stream is caught up", _LAST_ANSWER_S, lambda: True if tally.last >= head else None)
    except WaitTimedOut as error:
        stage.screen.failure(str(error))
    return tally.missed_by(head)


def _truth(stage: DemoContext) -> dict[str, Any]:
    found: dict[str, Any] = stage.lab.get("/_lab/truth").raise_for_status().json()
    return found
