"""Resources of the ledger that are not used any more: kept by age and count, as the server's policy says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from domain.reconciliation.data_lineage import copies_to_remove, snapshot_data_is_serving
from domain.reconciliation.drift import REMOVED_FIRST, DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.facts import FoundResource, RegionFacts, ResourceKind, ResourceRow, ServerFacts
from domain.reconciliation.proof import row_that_made

_K = ResourceKind
_DAY_S = 86_400.0
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)


def retired_findings(facts: RegionFacts, one: FoundResource, row: ResourceRow) -> Iterator[DriftFinding]:
    """Of a resource that EC2 has and the ledger holds. One that was adopted is its owner's, and is told.

    Volumes and addresses: never.
    """
    server = facts.servers.get(row.server_id)
    if server is None or one.resource_id in server.instances:
        return
    made_by = row_that_made(facts, one)
    if one.kind is _K.INSTANCE:
        action, reason = instance_action(facts, one, row.server_id, row.operation_id, DriftReason.RETIRED)
        grace = server.retention.keep_retired_s
    elif one.kind is _K.SNAPSHOT:
        if not _is_superseded(facts, one, row):
            return
        elsewhere = snapshot_data_is_serving(facts, one)
        action, reason = (
            (DriftAction.REMOVE, DriftReason.SUPERSEDED) if elsewhere else (DriftAction.REPORT, DriftReason.ONLY_COPY)
        )
        grace = 0.0
    elif one.kind is _K.IMAGE:
        action, reason = image_action(facts, one)
        grace = 0.0
        if action is DriftAction.REPORT:
            return
    else:
        return
    if action is DriftAction.REMOVE and made_by is None:
        action, reason = DriftAction.REPORT, DriftReason.ADOPTED
    yield DriftFinding(
        facts.region,
        DriftKind.RETIRED_RESOURCE,
        action,
        reason,
        one.kind.value,
        one.resource_id,
        row.client_id,
        row.server_id,
        grace_s=grace,
        row_id=row.row_id,
        token=made_by.token if made_by else "",
        details={"state": one.state, "operation": row.operation_id, **_first(facts, one)},
    )


def _first(facts: RegionFacts, one: FoundResource) -> dict[str, str]:
    copies = copies_to_remove(facts, one) if one.kind is _K.SNAPSHOT else []
    return {REMOVED_FIRST: ", ".join(copies)} if copies else {}


def instance_action(
    facts: RegionFacts, one: FoundResource, server_id: str, operation_id: str, reason: DriftReason
) -> tuple[DriftAction, DriftReason]:
    """One that its server does without. With data volumes attached it is only reported: ending it would tear
    them from whatever writes to them. So is one that may serve, whatever the records say: what made it did not end
    cleanly, or its server is active and has no primary that runs."""
    used = {used for server in facts.servers.values() for used in server.instances}
    if one.resource_id in used:
        return DriftAction.REPORT, DriftReason.IN_USE
    if one.data_volumes:
        return DriftAction.REPORT, DriftReason.HOLDS_DATA
    operation = facts.operations.get(operation_id)
    if operation is None or not operation.clean or not _is_served(facts, facts.servers[server_id]):
        return DriftAction.REPORT, DriftReason.MAY_SERVE
    return DriftAction.REMOVE, reason


def _is_served(facts: RegionFacts, server: ServerFacts) -> bool:
    """By its primary, which runs; one that has ended needs none."""
    primary = facts.found.get(server.primary)
    return not server.active or (primary is not None and primary.state == "running")


def image_action(facts: RegionFacts, one: FoundResource) -> tuple[DriftAction, DriftReason]:
    """Beyond the count and older than the age; never one that an instance was launched from."""
    server = facts.servers.get(one.server_id)
    if server is None:
        return DriftAction.REPORT, DriftReason.STRANGE_TAGS
    if any(found.image_id == one.resource_id and not found.ended for found in facts.found.values()):
        return DriftAction.REPORT, DriftReason.IN_USE
    newer = [
        other
        for other in facts.found.values()
        if other.kind is _K.IMAGE and other.server_id == one.server_id and _at(other) > _at(one)
        if row_that_made(facts, other)  # images of a backup service carry our tags too, and replace none of ours
    ]
    old = _age_s(facts, one) > server.retention.keep_images_days * _DAY_S
    superseded = old and len(newer) >= server.retention.keep_images
    return (DriftAction.REMOVE, DriftReason.SUPERSEDED) if superseded else (DriftAction.REPORT, DriftReason.RECENT)


def _is_superseded(facts: RegionFacts, one: FoundResource, row: ResourceRow) -> bool:
    """Beyond the count of sets, and older than the age."""
    retention = facts.servers[row.server_id].retention
    sets: dict[str, datetime] = {}
    for other in facts.rows:
        found = facts.found.get(other.resource_id)
        if other.server_id == row.server_id and other.state == "live" and found and found.kind is _K.SNAPSHOT:
            sets[other.operation_id] = max(sets.get(other.operation_id, _FIRST), _at(found))
    newer = [operation for operation, at in sets.items() if at > sets[row.operation_id]]
    return len(newer) >= retention.keep_snapshots and _age_s(facts, one) > retention.keep_snapshots_days * _DAY_S


def _at(one: FoundResource) -> datetime:
    return one.made_at or _FIRST


def _age_s(facts: RegionFacts, one: FoundResource) -> float:
    """0 for one whose age EC2 does not tell: nothing is removed for it."""
    return (facts.at - one.made_at).total_seconds() if one.made_at else 0.0
