"""A server that nobody looks after: it is active, and no ServerWorkflow runs for it, or one that stands still; or its
agent takes no watch from Temporal, whatever it says to the API.

It is only ever told. We may look in the wrong Temporal, and two workflows of one server would both move it; and what
stands still goes on by itself with the code that it can be replayed by. What keeps an agent from Temporal is mended by
a person.
"""

from __future__ import annotations

from domain.names import server_workflow_id
from domain.reconciliation.drift import Action, Finding, FindingKind, Reason

WORKFLOW = "workflow"  # as what such a finding names and what was looked at
WATCH = "watch"
MEMO_UNWATCHED = "unwatched"  # of a ServerWorkflow: the instances whose agents take no watch


UNATTENDED = frozenset({FindingKind.NO_WORKFLOW, FindingKind.STUCK_WORKFLOW})


def finding(server_id: str, client_id: str, region: str) -> Finding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (FindingKind.NO_WORKFLOW, Action.REPORT, Reason.NEVER_TWO)
    return Finding(region, *what, *subject, client_id, server_id)


def stuck(server_id: str, client_id: str, region: str) -> Finding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (FindingKind.STUCK_WORKFLOW, Action.REPORT, Reason.TASKS_FAIL)
    return Finding(region, *what, *subject, client_id, server_id)


def unwatched(server_id: str, client_id: str, region: str, instance_id: str) -> Finding:
    what = (FindingKind.UNWATCHED, Action.REPORT, Reason.NOT_TAKEN)
    return Finding(region, *what, WATCH, instance_id, client_id, server_id)
