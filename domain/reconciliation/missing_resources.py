"""Records of resources that EC2 does not have any more, or never had."""

from __future__ import annotations

from collections.abc import Iterator

from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.facts import GracePeriods, RegionFacts, ResourceKind, ResourceRow


def missing_findings(facts: RegionFacts, patience: GracePeriods) -> Iterator[DriftFinding]:
    tokens = {one.token for one in facts.found.values() if one.token and not one.ended}
    serving = {used for server in facts.servers.values() if server.active for used in server.instances}
    for row in facts.rows:
        if row.kind not in facts.looked:
            continue
        if row.state == "live" and row.resource_id not in serving:
            yield from _gone(facts, row, patience)
        elif row.state == "intended" and row.token not in tokens:
            yield from _never_made(facts, row, patience)


def _gone(facts: RegionFacts, row: ResourceRow, patience: GracePeriods) -> Iterator[DriftFinding]:
    found = facts.found.get(row.resource_id)
    if found is not None and not found.ended:
        return
    yield _finding(
        facts,
        row,
        DriftKind.RECORD_GONE,
        DriftReason.EC2_SAYS_SO if found else DriftReason.NOT_LISTED,
        grace_s=0.0 if found else patience.gone_s,
        details={"what_happened": (found.why or found.state) if found else "EC2 no longer lists it"},
    )


def _never_made(facts: RegionFacts, row: ResourceRow, patience: GracePeriods) -> Iterator[DriftFinding]:
    """Only after its operation has ended: before, the call may be under way."""
    operation = facts.operations.get(row.operation_id)
    if row.operation_id and (operation is None or not operation.ended):
        return
    # An image or spot request cannot be found by its token, so nothing shows that it was not created.
    if row.kind not in (ResourceKind.INSTANCE, ResourceKind.VOLUME, ResourceKind.SNAPSHOT):
        return
    yield _finding(
        facts,
        row,
        DriftKind.NEVER_MADE,
        DriftReason.OPERATION_ENDED,
        grace_s=patience.ours_s,
        details={"token": row.token},
    )


def _finding(
    facts: RegionFacts,
    row: ResourceRow,
    kind: DriftKind,
    reason: DriftReason,
    *,
    grace_s: float,
    details: dict[str, str],
) -> DriftFinding:
    return DriftFinding(
        facts.region,
        kind,
        DriftAction.CLOSE,
        reason,
        row.kind,
        row.resource_id,
        row.client_id,
        row.server_id,
        grace_s=grace_s,
        row_id=row.row_id,
        details={**details, "operation": row.operation_id},
    )
