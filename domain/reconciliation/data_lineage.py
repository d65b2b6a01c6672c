"""Is the data of a volume or a snapshot provably somewhere else? Only lineage at EC2 proves it.

What proves: a volume of the same server that the ledger holds, that EC2 has, and that is attached to the server's
primary (so it serves, and is itself never removed), is where the snapshot was taken from, or was made of it.
"""

from __future__ import annotations

from domain.reconciliation.facts import FoundResource, RegionFacts, ResourceKind


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
    """A copy that an undone operation made: its snapshot is there, and was taken from a volume that serves.

    The operation was undone before clients reached the copy, so nothing was acknowledged that is only on it.
    """
    operation = facts.operations.get(volume.operation_id)
    if operation is None or not operation.undone or operation.server_id != volume.server_id:
        return False
    if volume.state != "available" or volume.attached_to:
        return False
    snapshot = facts.found.get(volume.made_of)
    if snapshot is None or snapshot.kind is not ResourceKind.SNAPSHOT or snapshot.server_id != volume.server_id:
        return False
    return snapshot.made_of != volume.resource_id and snapshot.made_of in serving_volumes(facts, volume.server_id)


def copies_to_remove(facts: RegionFacts, snapshot: FoundResource) -> list[str]:
    """Volumes that only this snapshot shows to be copies: without it they would stay, for a person to look at."""
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
