"""What was found, into the records; and what of it is due."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from db.engine.session import SessionFactory, in_transaction
from db.reconciliation.drift import Kept, forget, keep, open_rows_beside, resolve
from domain.reconciliation import contract
from domain.reconciliation.drift import Action, Finding, FindingKind
from domain.reconciliation.unattended_servers import UNATTENDED

_KEPT = timedelta(days=90)  # after it was settled
_LOOKS = 2  # that have to find it before anything is done about it, unless EC2 said it in so many words


def keep_all(sessions: SessionFactory, given: contract.Report, now: datetime) -> contract.Reported:
    """One transaction for each client: its events are numbered from its row, which is held until it ends.

    A server that is not at rest is left as it is: neither found nor resolved.
    """
    findings = [one for one in given.surveyed.findings if _stands(one, given.resting)]
    kept = _kept(sessions, findings, now)
    resolved = _resolved(sessions, given, now)
    in_transaction(sessions, lambda session: forget(session, now - _KEPT))
    return contract.Reported(
        found=sum(one.new for one in kept),
        open=len(kept),
        resolved=resolved,
        due=_due(kept, now),
    )


def _stands(one: Finding, resting: contract.Resting) -> bool:
    if one.kind is FindingKind.STUCK_WORKFLOW:
        return True  # it does not say whether it is at rest
    if one.kind is FindingKind.NO_WORKFLOW:
        return one.server_id in resting.without_workflow  # asked once more: it does not answer
    return not one.server_id or one.server_id in resting.at_rest or one.server_id in resting.without_workflow


def _kept(sessions: SessionFactory, findings: Sequence[Finding], now: datetime) -> list[Kept]:
    kept: list[Kept] = []
    for client_id, its in _by_client(findings).items():
        kept += in_transaction(sessions, lambda s, c=client_id, f=its: keep(s, c, f, now))  # type: ignore[misc]
    return kept


def _resolved(sessions: SessionFactory, given: contract.Report, now: datetime) -> int:
    keys = [one.key for one in given.surveyed.findings]
    busy, cut = set(given.surveyed.busy), set(given.surveyed.cut)
    with sessions() as session:
        rows = open_rows_beside(session, given.surveyed.looked, keys)
    gone: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        busy_now = row.server_id in busy and row.kind not in UNATTENDED
        if busy_now or f"{row.region}/{row.kind}" in cut:
            continue  # it was not looked for, or may be among those that were not told
        gone[row.client_id].append(row.id)
    return sum(
        in_transaction(sessions, lambda s, c=client_id, i=ids: resolve(s, c, i, now))  # type: ignore[misc]
        for client_id, ids in gone.items()
    )


def _due(kept: Sequence[Kept], now: datetime) -> list[Finding]:
    due = []
    for one in sorted(kept, key=_last_tried):
        finding = one.finding
        seen_enough = finding.certain or one.times >= _LOOKS
        if finding.action is Action.REPORT or one.asked or not seen_enough:
            continue
        if now >= one.first_seen_at + timedelta(seconds=finding.grace_s):
            due.append(finding)
    removals = [one for one in due if one.action is Action.REMOVE]
    return [one for one in due if one.action is not Action.REMOVE] + removals[: contract.MOST_REMOVALS]


def _last_tried(one: Kept) -> tuple[bool, datetime]:
    """Those that were never tried first, then who waits longest: what always fails keeps nobody from their turn."""
    return (one.tried_at is not None, one.tried_at or one.first_seen_at)


def _by_client(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    by: dict[str, list[Finding]] = defaultdict(list)
    for one in findings:
        by[one.client_id].append(replace(one))
    return by
