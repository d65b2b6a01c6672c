"""The activities of a resumption. LOOK asks Temporal and is async, the others are sync.

Unavailable    the database or Temporal gives no answer: worth another try
Refused        the records have changed since they were looked at: look again
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.database_errors import database_unavailable
from activities.ec2.activity import ec2_activity
from activities.ec2.clients import Clients
from activities.ec2.resources import ResourceListing
from activities.resuming.record_fence import RecordsChanged, fence_records
from activities.resuming.recorded_state import read_recorded_state
from activities.running_workflows import WorkflowListing, find_running, list_running
from db.engine.session import SessionFactory, in_transaction
from domain import resumption
from domain.errors import Failure
from domain.names import operation_workflow_id, server_workflow_id
from domain.reconciliation.facts import FoundResource, ResourceKind
from domain.resumption import (
    RemainingResources,
    ResumeFenceInput,
    ResumeFenceResult,
    ResumeInput,
    ResumeSurvey,
    ServerRecords,
)
from domain.servers import ServerRef

_HOLDS_DATA = (ResourceKind.INSTANCE, ResourceKind.VOLUME, ResourceKind.SNAPSHOT)


class ResumeActivities:
    def __init__(self, sessions: SessionFactory, clients: Clients, workflows: WorkflowListing) -> None:
        self._sessions = sessions
        self._listing = ResourceListing(clients)
        self._workflows = workflows

    @activity.defn(name=resumption.RESUME_SURVEY)
    async def look(self, given: ResumeInput) -> ResumeSurvey:
        """The records first: if an operation ends meanwhile, the records change, and the fence notices."""
        recorded = await asyncio.to_thread(self._read, given.server)
        try:
            found = await running_workflows_of(self._workflows, given.server.server_id, recorded.unfinished)
            memo = await self._memo(given.server) if server_workflow_id(given.server.server_id) in found else {}
        except RPCError as error:
            words = f"asking Temporal which workflows of server {given.server.server_id} run: {error.message}"
            raise ApplicationError(words, type=Failure.UNAVAILABLE.value) from None
        by = memo.get(resumption.MEMO_REQUEST, recorded.let_go_by)
        digest = memo.get(resumption.MEMO_DIGEST, recorded.let_go_digest)
        return ResumeSurvey(recorded, sorted(found), str(by), str(digest))

    @ec2_activity(resumption.RESUME_REMAINS)
    def remains(self, given: ServerRef) -> RemainingResources:
        """Instances, volumes and snapshots that carry the server's tag and have not ended."""
        tagged = [one for kind in _HOLDS_DATA for one in self._listing.tagged(given.region, kind)]
        left = [one for one in tagged if one.server_id == given.server_id and not one.ended]
        instances = [one.resource_id for one in left if one.kind is ResourceKind.INSTANCE]
        return RemainingResources([_in_words(one) for one in left], instances)

    @activity.defn(name=resumption.RESUME_FENCE)
    def fence(self, given: ResumeFenceInput) -> ResumeFenceResult:
        with database_unavailable("closing the records of a lost workflow"):
            try:
                return in_transaction(self._sessions, lambda session: fence_records(session, given, datetime.now(UTC)))
            except RecordsChanged as moved:
                raise ApplicationError(str(moved), type=Failure.REFUSED.value, non_retryable=True) from None

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.look, self.remains, self.fence]

    def _read(self, server: ServerRef) -> ServerRecords:
        with database_unavailable("reading what is recorded of a server"), self._sessions() as session:
            return read_recorded_state(session, server)

    async def _memo(self, server: ServerRef) -> dict[str, Any]:
        told = await self._workflows.get_workflow_handle(server_workflow_id(server.server_id)).describe()
        return dict(await told.memo())


async def running_workflows_of(workflows: WorkflowListing, server_id: str, unfinished: Sequence[str]) -> set[str]:
    """IDs of the running workflows of the server and of its operations.

    Operations are taken from the records and from Temporal's list of children: either may lag behind.
    """
    own = server_workflow_id(server_id)
    children = await list_running(workflows, f"ParentWorkflowId = '{own}'")
    return await find_running(workflows, {own, *children, *map(operation_workflow_id, unfinished)})


def _in_words(one: FoundResource) -> str:
    attached = f", attached to {one.attached_to}" if one.attached_to else ""
    return f"{one.kind.value} {one.resource_id} ({one.state}{attached})"
