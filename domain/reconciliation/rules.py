"""The rules: every difference between EC2 and the records, and the action on it.

A server with an operation in progress is left alone, since the operation changes what is compared here. A kind of
resource that EC2 did not list completely is skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from domain.reconciliation import lost_instances, missing_resources, unknown_resources
from domain.reconciliation.drift import DriftAction, DriftFinding
from domain.reconciliation.facts import GracePeriods, RegionFacts

# A server that is down comes first, a finding for a person last.
_URGENCY = {
    DriftAction.ASK: 0,
    DriftAction.ADOPT: 1,
    DriftAction.CLOSE: 1,
    DriftAction.REMOVE: 1,
    DriftAction.REPORT: 2,
}


def drift_findings(facts: RegionFacts, patience: GracePeriods) -> list[DriftFinding]:
    """Findings, the most urgent first, otherwise in a stable order; at most one for each resource and kind."""
    found = {one.key: one for one in _all(facts, patience)}
    return most_urgent_first(found[key] for key in sorted(found))


def most_urgent_first(findings: Iterable[DriftFinding]) -> list[DriftFinding]:
    """The order in which findings are reported when there are too many. Stable."""
    return sorted(findings, key=lambda one: _URGENCY[one.action])


def _all(facts: RegionFacts, patience: GracePeriods) -> Iterator[DriftFinding]:
    for finding in (
        *unknown_resources.unknown_findings(facts, patience),
        *missing_resources.missing_findings(facts, patience),
        *lost_instances.lost_instance_findings(facts, patience),
    ):
        server = facts.servers.get(finding.server_id)
        if server is None or not server.busy:
            yield finding
