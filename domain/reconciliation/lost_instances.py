"""Servers that have lost what they run on, or that nothing is heard of."""

from __future__ import annotations

from collections.abc import Iterator

from domain.reconciliation.drift import Action, Finding, FindingKind, Reason
from domain.reconciliation.facts import Facts, Found, Patience, ResourceKind, ServerFacts

_GONE = frozenset({"stopping", "stopped"})  # to its clients as gone as one that has ended


def findings(facts: Facts, patience: Patience) -> Iterator[Finding]:
    if ResourceKind.INSTANCE not in facts.looked:
        return
    for server in facts.servers.values():
        if not server.active:
            continue
        if not server.primary:
            yield _about(facts, server, FindingKind.NO_PRIMARY, Action.REPORT, Reason.NOTHING_SERVES)
        elif lost := _lost(facts, server, server.primary, FindingKind.VANISHED_PRIMARY, patience):
            yield lost
        elif silent := _silent(facts, server, patience):
            yield silent
        if server.replica and (lost := _lost(facts, server, server.replica, FindingKind.VANISHED_REPLICA, patience)):
            yield lost


def _lost(facts: Facts, server: ServerFacts, instance_id: str, kind: FindingKind, patience: Patience) -> Finding | None:
    """EC2's word that it has ended is enough; that it is not listed may be a stale answer."""
    found = facts.found.get(instance_id)
    if found is not None and not found.ended and found.state not in _GONE:
        return None
    said = found is not None
    return _about(
        facts,
        server,
        kind,
        Action.ASK,
        Reason.EC2_SAYS_SO if said else Reason.NOT_LISTED,
        instance_id,
        grace_s=0.0 if said else patience.gone_s,
        certain=said,
        details={"what_happened": _what_happened(found)},
    )


def _silent(facts: Facts, server: ServerFacts, patience: Patience) -> Finding | None:
    """An instance that EC2 finds impaired is lost."""
    if not server.is_silent(facts.at, patience.silent_s):
        return None
    found = facts.found[server.primary]
    action, reason = (Action.ASK, Reason.IMPAIRED) if found.impaired else (Action.REPORT, Reason.STILL_RUNS)
    last = server.agent_seen_at.isoformat() if server.agent_seen_at else "never"
    details = {"last_heard": last, "state": found.state}
    return _about(
        facts,
        server,
        FindingKind.SILENT_AGENT,
        action,
        reason,
        server.primary,
        grace_s=patience.gone_s if found.impaired else 0.0,
        details=details,
    )


def _about(
    facts: Facts,
    server: ServerFacts,
    kind: FindingKind,
    action: Action,
    reason: Reason,
    instance_id: str = "",
    *,
    grace_s: float = 0.0,
    certain: bool = False,
    details: dict[str, str] | None = None,
) -> Finding:
    return Finding(
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


def _what_happened(found: Found | None) -> str:
    return "EC2 no longer lists it" if found is None else found.why or found.state
