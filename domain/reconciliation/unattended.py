"""A server that nobody looks after: it is active, and no ServerWorkflow runs for it.

It is only ever told. We may look in the wrong Temporal, and two workflows of one server would both move it.
"""

from __future__ import annotations

from domain.names import server_workflow_id
from domain.reconciliation.finding import Action, Finding, FindingKind, Reason

WORKFLOW = "workflow"  # as what such a finding names and what was looked at


def finding(server_id: str, client_id: str, region: str) -> Finding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (FindingKind.NO_WORKFLOW, Action.REPORT, Reason.NEVER_TWO)
    return Finding(region, *what, *subject, client_id, server_id)
