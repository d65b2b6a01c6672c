"""What EC2 has: explained by the ledger, or not; used, or retired."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from domain.reconciliation import retired_resources
from domain.reconciliation.data_lineage import copies_to_remove, copy_data_is_serving, snapshot_data_is_serving
from domain.reconciliation.drift import REMOVED_FIRST, DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.facts import FoundResource, GracePeriods, RegionFacts, ResourceKind, ResourceRow
from domain.reconciliation.proof import row_that_made

_K = ResourceKind
ADOPTION = "adopt-"  # what adoption tags as the operation: its owner made it


def unknown_findings(facts: RegionFacts, patience: GracePeriods) -> Iterator[DriftFinding]:
    live = {row.resource_id: row for row in facts.rows if row.state == "live" and row.resource_id}
    for one in facts.found.values():
        if one.ended or one.kind not in facts.looked:
            continue
        if row := live.get(one.resource_id):
            yield from retired_resources.retired_findings(facts, one, row)
        elif one.server_id and one.kind is not _K.SPOT_REQUEST:  # a one-time request ends with its instance
            yield _unknown(facts, one, patience)


def _unknown(facts: RegionFacts, one: FoundResource, patience: GracePeriods) -> DriftFinding:
    made_by = row_that_made(facts, one)
    action, reason = _what(facts, one, made_by)
    found = DriftFinding(
        region=facts.region,
        kind=DriftKind.UNKNOWN_RESOURCE,
        action=action,
        reason=reason,
        resource_type=one.kind.value,
        resource_id=one.resource_id,
        client_id=one.client_id if _known(facts, one) else "",
        server_id=one.server_id if _known(facts, one) else "",
        grace_s=patience.gone_s if action is DriftAction.ADOPT else patience.ours_s,
        row_id=made_by.row_id if made_by and made_by.state == "intended" else 0,
        token=made_by.token if made_by else "",
        details=_details(facts, one),
    )
    return found if action is not DriftAction.REPORT else replace(found, grace_s=0.0)


def _what(facts: RegionFacts, one: FoundResource, made_by: ResourceRow | None) -> tuple[DriftAction, DriftReason]:
    """Used: into the ledger. Removed is only what a row of the ledger proves to be ours; the rest is told."""
    if not _known(facts, one):
        return DriftAction.REPORT, DriftReason.STRANGE_TAGS
    server = facts.servers[one.server_id]
    if one.resource_id in server.instances or (one.attached_to and one.attached_to in server.instances):
        return DriftAction.ADOPT, DriftReason.IN_USE
    if one.kind is _K.ADDRESS:
        return DriftAction.REPORT, DriftReason.ADDRESS
    if one.operation_id.startswith(ADOPTION):
        return DriftAction.REPORT, DriftReason.ADOPTED
    if made_by is None:
        return DriftAction.REPORT, DriftReason.NOT_PROVEN
    if one.kind is _K.IMAGE:
        return retired_resources.image_action(facts, one)
    operation = facts.operations.get(made_by.operation_id)
    if made_by.server_id != one.server_id or operation is None or not operation.ended:
        return DriftAction.REPORT, DriftReason.STRANGE_TAGS
    if one.kind is _K.INSTANCE:
        return retired_resources.instance_action(
            facts, one, one.server_id, made_by.operation_id, DriftReason.OPERATION_ENDED
        )
    if one.kind is _K.VOLUME:
        elsewhere = copy_data_is_serving(facts, one)
    else:
        elsewhere = operation.undone and snapshot_data_is_serving(facts, one)
    return (
        (DriftAction.REMOVE, DriftReason.OPERATION_UNDONE) if elsewhere else (DriftAction.REPORT, DriftReason.ONLY_COPY)
    )


def _known(facts: RegionFacts, one: FoundResource) -> bool:
    """Its tags name a server of these records, and that server's client."""
    server = facts.servers.get(one.server_id)
    return server is not None and server.client_id == one.client_id


def _details(facts: RegionFacts, one: FoundResource) -> dict[str, str]:
    told = {
        "state": one.state,
        "tagged_client": one.client_id,
        "tagged_server": one.server_id,
        "tagged_operation": one.operation_id,
        "attached_to": one.attached_to,
        "made_of": one.made_of,
        "made_at": _iso(one.made_at),
        "data_volumes": ", ".join(one.data_volumes),
        REMOVED_FIRST: ", ".join(copies_to_remove(facts, one)) if one.kind is _K.SNAPSHOT else "",
    }
    return {name: value for name, value in told.items() if value}


def _iso(at: datetime | None) -> str:
    return at.isoformat() if at else ""
