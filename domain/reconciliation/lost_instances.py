"""Servers that have lost their instance, or whose agent is silent."""

from __future__ import annotations

from collections.abc import Iterator

from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.facts import FoundResource, GracePeriods, RegionFacts, ResourceKind, ServerFacts

_GONE = frozenset({"stopping", "stopped"})  # for its clients it is gone, like one that has ended


def lost_instance_findings(facts: RegionFacts, patience: GracePeriods) -> Iterator[DriftFinding]:
    if ResourceKind.INSTANCE not in facts.looked:
        return
    for server in facts.servers.values():
        if not server.active:
            continue
        if not server.primary:
            yield _about(facts, server, DriftKind.NO_PRIMARY, DriftAction.REPORT, DriftReason.NOTHING_SERVES)
        elif lost := _lost(facts, server, server.primary, DriftKind.VANISHED_PRIMARY, patience):
            yield lost
        elif silent := _silent(facts, server, patience):
            yield silent
        if server.replica and (lost := _lost(facts, server, server.replica, DriftKind.VANISHED_REPLICA, patience)):
            yield lost


def _lost(
    facts: RegionFacts, server: ServerFacts, instance_id: str, kind: DriftKind, patience: GracePeriods
) -> DriftFinding | None:
    """If EC2 says that it has ended, that is enough. That EC2 does not list it may be an outdated answer."""
    found = facts.found.get(instance_id)
    if found is not None and not found.ended and found.state not in _GONE:
        return None
    said = found is not None
    return _about(
        facts,
        server,
        kind,
        DriftAction.ASK,
        DriftReason.EC2_SAYS_SO if said else DriftReason.NOT_LISTED,
        instance_id,
        grace_s=0.0 if said else patience.gone_s,
        certain=said,
        details={"what_happened": _what_happened(found)},
    )


def _silent(facts: RegionFacts, server: ServerFacts, patience: GracePeriods) -> DriftFinding | None:
    """An instance that EC2 finds impaired is lost."""
    if not server.is_silent(facts.at, patience.silent_s):
        return None
    found = facts.found[server.primary]
    action, reason = (
        (DriftAction.ASK, DriftReason.IMPAIRED) if found.impaired else (DriftAction.REPORT, DriftReason.STILL_RUNS)
    )
    last = server.agent_seen_at.isoformat() if server.agent_seen_at else "never"
    details = {"last_heard": last, "state": found.state}
    return _about(
        facts,
        server,
        DriftKind.SILENT_AGENT,
        action,
        reason,
        server.primary,
        grace_s=patience.gone_s if found.impaired else 0.0,
        details=details,
    )


def _about(
    facts: RegionFacts,
    server: ServerFacts,
    kind: DriftKind,
    action: DriftAction,
    reason: DriftReason,
    instance_id: str = "",
    *,
    grace_s: float = 0.0,
    certain: bool = False,
    details: dict[str, str] | None = None,
) -> DriftFinding:
    return DriftFinding(
        facts.region,
        kind,
        action,
        reason,
        ResourceKind.INSTANCE.value if instance_id else "",
        instance_id,
        server.client_id,
        server.server_id,
        grace_s=grace_s,
        certain=certain,
        details=details or {},
    )


def _what_happened(found: FoundResource | None) -> str:
    return "EC2 no longer lists it" if found is None else found.why or found.state
