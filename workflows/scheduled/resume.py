"""ResumeWorkflow: an active server whose workflow Temporal has lost gets a new one, made of the records.

Nothing is changed before it is clear that nobody else looks after the server. Then the records are closed to
whatever the lost workflow may still send, and the new one is started, under the ID that can run only once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, WorkflowAlreadyStartedError
from temporalio.workflow import ParentClosePolicy

from domain import ec2, resumption
from domain.adoption import Finding
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.host import HOST_INVENTORY, Filesystem, Inventory, InventoryRequest
from domain.names import CONTROL_QUEUE, WORKFLOW_TASK_S, server_workflow_id
from domain.operations import SERVER_WORKFLOW, Refusal, ServerInput
from domain.resumption import ResumeInput, ResumeResult, ResumeSurvey
from domain.servers import Placement, ServerShape
from workflows import timeouts
from workflows.activity_calls import execute, execute_ec2, execute_on_host, failure_of
from workflows.timeouts import ASK

_GONE = "its workflow is gone from Temporal: nothing was undone; compare EC2 with the ledger (spot doctor)"


@workflow.defn
class ResumeWorkflow:
    @workflow.run
    async def run(self, start: ResumeInput) -> ResumeResult:
        looked = await execute(resumption.RESUME_SURVEY, start, ResumeSurvey, ASK)
        result = ResumeResult(placement=looked.recorded.primary)
        if _repeated(start, looked):
            return replace(result, resumed=not start.let_go, let_go=start.let_go, repeated=True)
        if start.let_go:
            return await self._let_go(start, looked, result)
        if found := resumption.findings_from_records(start.server, looked):
            return replace(result, findings=found)
        primary = looked.recorded.primary
        assert primary is not None
        blueprint, found = await self._primary(start, looked, primary)
        if blueprint is None or resumption.blocking_resumption(found, start.accept):
            return replace(result, findings=found)
        filesystems = await self._agent(primary)
        if filesystems is None:
            found.append(resumption.agent_silent(primary.instance_id))
        ended = looked.recorded.unfinished
        if start.dry_run or resumption.blocking_resumption(found, start.accept):
            return replace(result, findings=found, ended=ended)
        seq = await self._fence(start, looked)
        shape = ServerShape(
            primary,
            looked.recorded.replica,
            filesystems or [],
            looked.recorded.cool_downs,
            blueprint,
            looked.recorded.kept_snapshots,
        )
        lost = await self._begin(start, looked, shape, seq)
        return replace(result, resumed=not lost, findings=[*found, *lost], ended=ended)

    async def _let_go(self, start: ResumeInput, looked: ResumeSurvey, result: ResumeResult) -> ResumeResult:
        """Only of what nothing runs on any more; volumes and snapshots stay as they are, in EC2 and in the ledger."""
        found = [one for one in resumption.findings_from_records(start.server, looked) if one.code != "no_primary"]
        if not found:
            left = set(
                (await execute_ec2(resumption.RESUME_REMAINS, start.server, resumption.RemainingResources)).instances
            )
            if looked.recorded.primary and await self._is_known(start, looked.recorded.primary):
                left.add(looked.recorded.primary.instance_id)
            found = [resumption.instances_left(sorted(left))] if left else []
        result = replace(result, findings=found, ended=looked.recorded.unfinished)
        if found or start.dry_run:
            return result
        await self._fence(start, looked)
        return replace(result, let_go=True)

    async def _is_known(self, start: ResumeInput, primary: Placement) -> bool:
        """By its own ID: somebody may have taken its tags off."""
        try:
            await execute_ec2(
                ec2.INSPECT, ec2.InspectInput(start.server.region, primary.instance_id), ec2.InspectResult
            )
        except ActivityError as error:
            if failure_of(error) is not Failure.GONE:
                raise
            return False
        return True

    async def _fence(self, start: ResumeInput, looked: ResumeSurvey) -> int:
        fence = resumption.ResumeFenceInput(start, looked.recorded.record_seq, looked.recorded.unfinished, _GONE)
        return (await execute(resumption.RESUME_FENCE, fence, resumption.ResumeFenceResult, ASK)).record_seq

    async def _primary(
        self, start: ResumeInput, looked: ResumeSurvey, primary: Placement
    ) -> tuple[Blueprint | None, list[Finding]]:
        """What the server runs on, as adoption looks at it; and what is wrong with it."""
        where = ec2.InspectInput(start.server.region, primary.instance_id)
        try:
            inspected = await execute_ec2(ec2.INSPECT, where, ec2.InspectResult)
        except ActivityError as error:
            if failure_of(error) is not Failure.GONE:
                raise
            return None, [resumption.not_running(primary.instance_id, "", await self._remains(start))]
        blueprint = inspected.blueprint
        if blueprint.state != "running":
            return None, [resumption.not_running(primary.instance_id, blueprint.state, await self._remains(start))]
        found = resumption.findings_from_ec2(start.server, looked.recorded, blueprint, inspected.account_id)
        if resumption.lacks_data(looked.recorded, blueprint):
            found.append(resumption.no_data_volume(primary.instance_id, await self._remains(start)))
        return blueprint, found

    async def _remains(self, start: ResumeInput) -> list[str]:
        return (await execute_ec2(resumption.RESUME_REMAINS, start.server, resumption.RemainingResources)).found

    async def _agent(self, primary: Placement) -> list[Filesystem] | None:
        """What is mounted there; None when no agent takes the question up in this Temporal."""
        try:
            inventory = await execute_on_host(
                primary.instance_id, HOST_INVENTORY, InventoryRequest("resume"), Inventory, timeouts.inventory()
            )
        except ActivityError as error:
            workflow.logger.warning("the agent of %s gave no answer: %s", primary.instance_id, error.cause)
            return None
        return inventory.filesystems

    async def _begin(self, start: ResumeInput, looked: ResumeSurvey, shape: ServerShape, seq: int) -> list[Finding]:
        """Temporal refuses a second one of the same ID: then somebody was quicker, and nothing was started."""
        recorded, own = looked.recorded, server_workflow_id(start.server.server_id)
        try:
            await workflow.start_child_workflow(
                SERVER_WORKFLOW,
                ServerInput(
                    start.server,
                    recorded.policy,
                    shape,
                    {**recorded.requests, start.request_id: start.body_digest},
                    recorded.notices,
                    record_seq=seq,
                    outcomes=recorded.outcomes,
                ),
                id=own,
                task_queue=CONTROL_QUEUE,
                task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
                parent_close_policy=ParentClosePolicy.ABANDON,
                memo={resumption.MEMO_REQUEST: start.request_id, resumption.MEMO_DIGEST: start.body_digest},
            )
        except WorkflowAlreadyStartedError:
            return resumption.findings_from_records(start.server, replace(looked, running=[own]))
        return []


def _repeated(start: ResumeInput, looked: ResumeSurvey) -> bool:
    if looked.resumed_by != start.request_id:
        return False
    if looked.resumed_digest != start.body_digest:
        words = "this request ID was used for another request"
        raise ApplicationError(words, type=Refusal.REQUEST_ID_REUSED.value, non_retryable=True)
    return True
