"""What the ledger holds and nobody uses any more: kept by age and count, as the server's policy says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from domain.reconciliation.data_lineage import copies_to_remove, snapshot_is_elsewhere
from domain.reconciliation.drift import GO_FIRST, Action, Finding, FindingKind, Reason
from domain.reconciliation.facts import Facts, Found, ResourceKind, Row, ServerFacts

_K = ResourceKind
_DAY_S = 86_400.0
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def findings(facts: Facts, one: Found, row: Row) -> Iterator[Finding]:
    """Of a resource that EC2 has and the ledger holds. Volumes, addresses: never."""
    server = facts.servers.get(row.server_id)
    if server is None or one.resource_id in server.instances:
        return
    if one.kind is _K.INSTANCE:
        action, reason = (
            instance(facts, one, row.server_id, row.operation_id, Reason.RETIRED)
            if row.token
            else (Action.REPORT, Reason.ADOPTED)
        )
        grace = server.retention.keep_retired_s
    elif one.kind is _K.SNAPSHOT:
        if not _is_superseded(facts, one, row):
            return
        elsewhere = snapshot_is_elsewhere(facts, one)
        action, reason = (Action.REMOVE, Reason.SUPERSEDED) if elsewhere else (Action.REPORT, Reason.ONLY_COPY)
        grace = 0.0
    elif one.kind is _K.IMAGE:
        action, reason = image(facts, one)
        grace = 0.0
        if action is Action.REPORT:
            return
    else:
        return
    yield Finding(
        facts.region,
        FindingKind.RETIRED_RESOURCE,
        action,
        reason,
        one.kind.value,
        one.resource_id,
        row.client_id,
        row.server_id,
        grace_s=grace,
        row_id=row.row_id,
        details={"state": one.state, "operation": row.operation_id, **_first(facts, one)},
    )


def _first(facts: Facts, one: Found) -> dict[str, str]:
    copies = copies_to_remove(facts, one) if one.kind is _K.SNAPSHOT else []
    return {GO_FIRST: ", ".join(copies)} if copies else {}


def instance(facts: Facts, one: Found, server_id: str, operation_id: str, reason: Reason) -> tuple[Action, Reason]:
    """One that its server does without. With data volumes attached it is only reported: ending it would tear
    them from whatever writes to them. So is one that may serve, whatever the records say: what made it did not end
    cleanly, or its server is active and has no primary that runs."""
    used = {used for server in facts.servers.values() for used in server.instances}
    if one.resource_id in used:
        return Action.REPORT, Reason.IN_USE
    if one.data_volumes:
        return Action.REPORT, Reason.HOLDS_DATA
    operation = facts.operations.get(operation_id)
    if operation is None or not operation.clean or not _is_served(facts, facts.servers[server_id]):
        return Action.REPORT, Reason.MAY_SERVE
    return Action.REMOVE, reason


def _is_served(facts: Facts, server: ServerFacts) -> bool:
    """By its primary, which runs; one that has ended needs none."""
    primary = facts.found.get(server.primary)
    return not server.active or (primary is not None and primary.state == "running")


def image(facts: Facts, one: Found) -> tuple[Action, Reason]:
    """Beyond the count and older than the age; never one that an instance was launched from."""
    server = facts.servers.get(one.server_id)
    if server is None:
        return Action.REPORT, Reason.STRANGE_TAGS
    if any(found.image_id == one.resource_id and not found.ended for found in facts.found.values()):
        return Action.REPORT, Reason.IN_USE
    newer = [
        other
        for other in facts.found.values()
        if other.kind is _K.IMAGE and other.server_id == one.server_id and _at(other) > _at(one)
    ]
    old = _age_s(facts, one) > server.retention.keep_images_days * _DAY_S
    superseded = old and len(newer) >= server.retention.keep_images
    return (Action.REMOVE, Reason.SUPERSEDED) if superseded else (Action.REPORT, Reason.RECENT)


def _is_superseded(facts: Facts, one: Found, row: Row) -> bool:
    """Beyond the count of sets, and older than the age."""
    retention = facts.servers[row.server_id].retention
    sets: dict[str, datetime] = {}
    for other in facts.rows:
        found = facts.found.get(other.resource_id)
        if other.server_id == row.server_id and other.state == "live" and found and found.kind is _K.SNAPSHOT:
            sets[other.operation_id] = max(sets.get(other.operation_id, _FIRST), _at(found))
    newer = [operation for operation, at in sets.items() if at > sets[row.operation_id]]
    return len(newer) >= retention.keep_snapshots and _age_s(facts, one) > retention.keep_snapshots_days * _DAY_S


def _at(one: Found) -> datetime:
    return one.made_at or _FIRST


def _age_s(facts: Facts, one: Found) -> float:
    """0 for one whose age EC2 does not tell: nothing is removed for it."""
    return (facts.at - one.made_at).total_seconds() if one.made_at else 0.0
