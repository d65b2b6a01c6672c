"""Whether the data of a volume or snapshot is provably elsewhere. Only its lineage in EC2 proves that.

The proof is a volume of the same server, in the ledger and in EC2, that is attached to the server's primary: it serves,
and is itself never removed. The snapshot was taken from that volume, or the volume was made from the snapshot.
"""

from __future__ import annotations

from domain.reconciliation.facts import FoundResource, RegionFacts, ResourceKind
from domain.reconciliation.proof import row_that_made


def serving_volumes(facts: RegionFacts, server_id: str) -> frozenset[str]:
    """Volumes in the ledger that are attached to the server's primary, which runs."""
    server = facts.servers.get(server_id)
    primary = facts.found.get(server.primary) if server else None
    if server is None or primary is None or primary.state != "running":
        return frozenset()
    ours = {row.resource_id for row in facts.rows if row.state == "live" and row.server_id == server_id}
    return frozenset(
        one.resource_id
        for one in facts.found.values()
        if one.kind is ResourceKind.VOLUME
        and one.resource_id in ours
        and one.state == "in-use"
        and one.attached_to == server.primary
    )


def snapshot_data_is_serving(facts: RegionFacts, snapshot: FoundResource) -> bool:
    serving = serving_volumes(facts, snapshot.server_id)
    return snapshot.made_of in serving or any(facts.found[one].made_of == snapshot.resource_id for one in serving)


def copy_data_is_serving(facts: RegionFacts, volume: FoundResource) -> bool:
    """Whether this is a copy by an undone operation, with its snapshot still there and taken from a volume that serves.

    The operation was undone before clients reached the copy, so nothing that was acknowledged is only on it.
    """
    made_by = row_that_made(facts, volume)
    operation = facts.operations.get(made_by.operation_id) if made_by else None
    if operation is None or not operation.undone or operation.server_id != volume.server_id:
        return False
    if volume.state != "available" or volume.attached_to:
        return False
    snapshot = facts.found.get(volume.made_of)
    if snapshot is None or snapshot.kind is not ResourceKind.SNAPSHOT or snapshot.server_id != volume.server_id:
        return False
    return snapshot.made_of != volume.resource_id and snapshot.made_of in serving_volumes(facts, volume.server_id)


def copies_to_remove(facts: RegionFacts, snapshot: FoundResource) -> list[str]:
    """Volumes that only this snapshot proves to be copies. They go first: without it they would stay for a person."""
    held = {row.resource_id for row in facts.rows if row.state == "live"}
    return sorted(
        one.resource_id
        for one in facts.found.values()
        if one.kind is ResourceKind.VOLUME
        and one.made_of == snapshot.resource_id
        and one.resource_id not in held
        and not one.ended
        and copy_data_is_serving(facts, one)
    )
