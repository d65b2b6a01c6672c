"""A server that nobody looks after: it is active, and no ServerWorkflow runs for it, or one that stands still.

It is only ever told. We may look in the wrong Temporal, and two workflows of one server would both move it; and what
stands still goes on by itself with the code that it can be replayed by.
"""

from __future__ import annotations

from domain.names import server_workflow_id
from domain.reconciliation.finding import Action, Finding, FindingKind, Reason

WORKFLOW = "workflow"  # as what such a finding names and what was looked at


UNATTENDED = frozenset({FindingKind.NO_WORKFLOW, FindingKind.STUCK_WORKFLOW})


def finding(server_id: str, client_id: str, region: str) -> Finding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (FindingKind.NO_WORKFLOW, Action.REPORT, Reason.NEVER_TWO)
    return Finding(region, *what, *subject, client_id, server_id)


def stuck(server_id: str, client_id: str, region: str) -> Finding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (FindingKind.STUCK_WORKFLOW, Action.REPORT, Reason.TASKS_FAIL)
    return Finding(region, *what, *subject, client_id, server_id)
