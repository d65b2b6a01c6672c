"""Unattended servers: active, but without a ServerWorkflow, or with one whose tasks fail, or with an agent that takes
no watch from Temporal although it reaches the API.

They are only reported. We may look at the wrong Temporal, and two workflows of one server would both move it. A
workflow whose tasks fail continues by itself with code that can replay it. What keeps an agent from Temporal has to be
fixed by a person.
"""

from __future__ import annotations

from domain.names import server_workflow_id
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason

WORKFLOW = "workflow"  # the resource type of such findings
WATCH = "watch"
MEMO_UNWATCHED = "unwatched"  # of a ServerWorkflow: the instances whose agents take no watch


UNATTENDED = frozenset({DriftKind.NO_WORKFLOW, DriftKind.STUCK_WORKFLOW})


def workflow_missing(server_id: str, client_id: str, region: str) -> DriftFinding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (DriftKind.NO_WORKFLOW, DriftAction.REPORT, DriftReason.NEVER_TWO)
    return DriftFinding(region, *what, *subject, client_id, server_id)


def workflow_stuck(server_id: str, client_id: str, region: str) -> DriftFinding:
    subject = (WORKFLOW, server_workflow_id(server_id))
    what = (DriftKind.STUCK_WORKFLOW, DriftAction.REPORT, DriftReason.TASKS_FAIL)
    return DriftFinding(region, *what, *subject, client_id, server_id)


def watch_not_taken(server_id: str, client_id: str, region: str, instance_id: str) -> DriftFinding:
    what = (DriftKind.UNWATCHED, DriftAction.REPORT, DriftReason.NOT_TAKEN)
    return DriftFinding(region, *what, WATCH, instance_id, client_id, server_id)
