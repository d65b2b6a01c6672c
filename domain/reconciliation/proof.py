"""What proves that a resource is ours to remove. A tag proves nothing: backup services copy an instance's tags onto the
images and snapshots that they make of it, and onto what is restored from them (AWS Backup and Data Lifecycle Manager).
"""

from __future__ import annotations

from domain.reconciliation.facts import FoundResource, RegionFacts, ResourceKind, ResourceRow

ADOPTED = "adopted"  # what the ledger says of a resource that was there before us
RELEASED = "released"  # ... and of one that we made and gave to its owner: it is ours no more


def row_that_made(facts: RegionFacts, one: FoundResource) -> ResourceRow | None:
    """The ledger's row of the call of ours that made this resource; None: nothing proves that we made it.

    An instance: EC2 says that it was launched with the call's token (`ClientToken` of DescribeInstances, which no tag
    can change). Anything else: the row holds the ID that EC2 answered to the call.
    """
    return next((row for row in facts.rows if row.token and row.kind == one.kind and _proves(row, one)), None)


def _proves(row: ResourceRow, one: FoundResource) -> bool:
    if row.how == RELEASED:
        return False
    if one.kind is ResourceKind.INSTANCE:
        return row.token == one.token
    return row.resource_id == one.resource_id and row.how != ADOPTED
