"""The rules: every difference between EC2 and the records, and what becomes of it.

A server with an operation in progress is left alone: its operation is about to change what is seen here. A kind of
resource that EC2 did not tell completely is not judged at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from domain.reconciliation import lost_instances, missing_resources, unknown_resources
from domain.reconciliation.drift import Action, Finding
from domain.reconciliation.facts import Facts, Patience

# A server that is down comes first, what only a person settles comes last.
_URGENCY = {Action.ASK: 0, Action.ADOPT: 1, Action.CLOSE: 1, Action.REMOVE: 1, Action.REPORT: 2}


def judge(facts: Facts, patience: Patience) -> list[Finding]:
    """Findings, the most urgent first, else in a stable order; at most one for each resource and kind."""
    found = {one.key: one for one in _all(facts, patience)}
    return most_urgent_first(found[key] for key in sorted(found))


def most_urgent_first(findings: Iterable[Finding]) -> list[Finding]:
    """Whoever tells only some of them tells these. Stable."""
    return sorted(findings, key=lambda one: _URGENCY[one.action])


def _all(facts: Facts, patience: Patience) -> Iterator[Finding]:
    for finding in (
        *unknown_resources.findings(facts, patience),
        *missing_resources.findings(facts, patience),
        *lost_instances.findings(facts, patience),
    ):
        server = facts.servers.get(finding.server_id)
        if server is None or not server.busy:
            yield finding
