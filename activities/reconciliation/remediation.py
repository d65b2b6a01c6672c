"""One finding that is due: looked at once more, then adopted, removed, closed, or reported to its server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from activities.ec2.errors import Ec2Failure
from activities.ec2.resources import Removal, ResourceListing
from db.engine.session import SessionFactory, in_transaction
from db.reconciliation.drift import close_finding, mark_asked, note_failed_try
from domain.reconciliation import contract
from domain.reconciliation.drift import REMOVED_FIRST, STATE_AFTER_ACTION, DriftAction, DriftFinding, DriftReason
from domain.reconciliation.facts import ResourceKind


class Remediation:
    def __init__(
        self, sessions: SessionFactory, removal: Removal, listing: ResourceListing, clock: Callable[[], datetime]
    ) -> None:
        self._sessions = sessions
        self._removal = removal
        self._listing = listing
        self._clock = clock

    def settle(
        self, so_far: contract.SettleResult, due: DriftFinding, now: DriftFinding | None, resting: contract.AtRestResult
    ) -> contract.SettleResult:
        """`now`: the same finding at the second look. None when it is not there any more."""
        if why := self._not_now(due, now, resting):
            return self._left(so_far, due, why)
        assert now is not None
        try:
            if now.reason is DriftReason.NOT_LISTED and self._is_there(now):
                return self._left(so_far, now, "EC2 knows it after all: its list was an old one")
            if now.action is DriftAction.ASK:
                lost = contract.LostInstance(now.key, now.server_id, now.resource_id)
                return replace(so_far, lost=[*so_far.lost, lost])
            outcome = self._do(now)
        except Ec2Failure as failed:
            return self._left(so_far, now, failed.message)
        state = STATE_AFTER_ACTION[now.action]
        in_transaction(self._sessions, lambda session: close_finding(session, now, state, self._clock(), outcome))
        return replace(so_far, done=[*so_far.done, now.key])

    def asked(self, key: str) -> None:
        """The server's workflow was told. Its operation reports what it does about it."""
        in_transaction(self._sessions, lambda session: mark_asked(session, key, self._clock()))

    def _not_now(self, due: DriftFinding, now: DriftFinding | None, resting: contract.AtRestResult) -> str:
        if now is None:
            return "it is not seen any more, or its server is busy"
        if now.action is not due.action:
            return f"it is something else now: {now.action.value}, {now.reason.value}"
        if now.server_id and now.server_id not in resting.at_rest:
            return "its server's workflow has something under way, or does not say"
        if now.action is DriftAction.REMOVE and now.resource_id in resting.instances:
            return "its server's workflow says that the server runs on it"
        if now.action is DriftAction.REMOVE and (copies := now.details.get(REMOVED_FIRST)):
            return f"{copies} was made of it, and goes first"
        return ""

    def _do(self, finding: DriftFinding) -> str:
        match finding.action:
            case DriftAction.REMOVE:
                kind = ResourceKind(finding.resource_type)
                self._removal.remove(finding.region, kind, finding.resource_id, finding.token)
                return "removed"
            case DriftAction.ADOPT:
                return "taken into the ledger"
            case _:
                return finding.details.get("what_happened") or finding.reason.value

    def _is_there(self, finding: DriftFinding) -> bool:
        """Asked for by its ID: the answer that lags least."""
        if finding.resource_type != ResourceKind.INSTANCE:
            return False
        found = self._listing.knows(finding.region, finding.resource_id)
        return found is not None and not found.ended

    def _left(self, so_far: contract.SettleResult, due: DriftFinding, why: str) -> contract.SettleResult:
        in_transaction(self._sessions, lambda session: note_failed_try(session, due.key, why, self._clock()))
        return replace(so_far, left={**so_far.left, due.key: why})
