"""Write findings to the records, and return those that are due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from db.engine.session import SessionFactory, in_transaction
from db.reconciliation.drift import (
    StoredFinding,
    delete_closed_findings,
    open_findings_not_in,
    resolve_findings,
    store_findings,
)
from domain.reconciliation import contract
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind
from domain.reconciliation.unattended_servers import UNATTENDED

_KEPT = timedelta(days=90)  # after it was settled
_LOOKS = 2  # passes that have to find it before anything is done, unless EC2 has said it in words


def record_findings(sessions: SessionFactory, given: contract.ReportInput, now: datetime) -> contract.ReportResult:
    """One transaction for each client: its events are numbered from its row, which stays locked until the end.

    Findings of a server that is not at rest stay as they are: neither found nor resolved.
    """
    findings = [one for one in given.surveyed.findings if _is_settled_state(one, given.resting)]
    kept = _kept(sessions, findings, now)
    resolved = _resolved(sessions, given, now)
    in_transaction(sessions, lambda session: delete_closed_findings(session, now - _KEPT))
    return contract.ReportResult(
        found=sum(one.new for one in kept),
        open=len(kept),
        resolved=resolved,
        due=_due(kept, now),
    )


def _is_settled_state(one: DriftFinding, resting: contract.AtRestResult) -> bool:
    if one.kind is DriftKind.STUCK_WORKFLOW:
        return True  # it does not say whether it is at rest
    if one.kind is DriftKind.NO_WORKFLOW:
        return one.server_id in resting.without_workflow  # asked once more: it does not answer
    return not one.server_id or one.server_id in resting.at_rest or one.server_id in resting.without_workflow


def _kept(sessions: SessionFactory, findings: Sequence[DriftFinding], now: datetime) -> list[StoredFinding]:
    kept: list[StoredFinding] = []
    for client_id, its in _by_client(findings).items():
        kept += in_transaction(sessions, lambda s, c=client_id, f=its: store_findings(s, c, f, now))  # type: ignore[misc]
    return kept


def _resolved(sessions: SessionFactory, given: contract.ReportInput, now: datetime) -> int:
    keys = [one.key for one in given.surveyed.findings]
    busy, cut = set(given.surveyed.busy), set(given.surveyed.cut)
    with sessions() as session:
        rows = open_findings_not_in(session, given.surveyed.looked, keys)
    gone: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        busy_now = row.server_id in busy and row.kind not in UNATTENDED
        if busy_now or f"{row.region}/{row.kind}" in cut:
            continue  # it was not looked for, or may be among those that were left out
        gone[row.client_id].append(row.id)
    return sum(
        in_transaction(sessions, lambda s, c=client_id, i=ids: resolve_findings(s, c, i, now))  # type: ignore[misc]
        for client_id, ids in gone.items()
    )


def _due(kept: Sequence[StoredFinding], now: datetime) -> list[DriftFinding]:
    due = []
    for one in sorted(kept, key=_last_tried):
        finding = one.finding
        seen_enough = finding.certain or one.times >= _LOOKS
        if finding.action is DriftAction.REPORT or one.asked or not seen_enough:
            continue
        if now >= one.first_seen_at + timedelta(seconds=finding.grace_s):
            due.append(finding)
    removals = [one for one in due if one.action is DriftAction.REMOVE]
    return [one for one in due if one.action is not DriftAction.REMOVE] + removals[: contract.MOST_REMOVALS]


def _last_tried(one: StoredFinding) -> tuple[bool, datetime]:
    """Those that were never tried come first, then those that wait longest: one that always fails holds up no other."""
    return (one.tried_at is not None, one.tried_at or one.first_seen_at)


def _by_client(findings: Sequence[DriftFinding]) -> dict[str, list[DriftFinding]]:
    by: dict[str, list[DriftFinding]] = defaultdict(list)
    for one in findings:
        by[one.client_id].append(replace(one))
    return by
