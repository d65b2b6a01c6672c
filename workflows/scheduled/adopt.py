"""Before a server's first move: AdoptWorkflow makes a running instance a server, PlanWorkflow says how it would move.

Adoption looks first, then tags and records: nothing is changed before it is clear that nothing would be lost.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError
from temporalio.workflow import ParentClosePolicy

from domain import adoption_rules, ec2, planning
from domain.adoption import AdoptInput, AdoptResult, Plan, PlanInput
from domain.blueprint import Blueprint
from domain.instance_states import InstanceState
from domain.names import CONTROL_QUEUE, WORKFLOW_TASK_S, ownership_tags, server_workflow_id
from domain.operations import ServerInput
from domain.records import RecordKind
from domain.servers import Placement, ServerShape
from workflows.activity_calls import execute_ec2
from workflows.operations.planning import survey_and_plan
from workflows.recorder import Recorder, as_json


@workflow.defn
class AdoptWorkflow:
    @workflow.run
    async def run(self, start: AdoptInput) -> AdoptResult:
        inspected = await execute_ec2(
            ec2.INSPECT, ec2.InspectInput(start.server.region, start.instance_id), ec2.InspectResult
        )
        blueprint = inspected.blueprint
        found = adoption_rules.findings(blueprint, start.policy, inspected.account_id, mend=start.mend)
        result = AdoptResult(findings=found, moves=planning.moves(blueprint), handoff=start.policy.handoff)
        if start.dry_run or adoption_rules.blocking_findings(found, start.accept):
            return result
        placement = await self._place(start, blueprint)
        await self._take(start, blueprint)
        recorder = self._record(start, blueprint, placement)
        await recorder.flush()
        await self._begin(start, blueprint, placement, recorder.seq)
        return replace(result, server_id=start.server.server_id, placement=placement)

    async def _take(self, start: AdoptInput, blueprint: Blueprint) -> None:
        """Tags first: our IAM policy allows changes only on what carries them."""
        await self._tag(start, blueprint)
        try:
            await self._mend(start, blueprint)
        except ActivityError:
            await self._tag(start, blueprint, remove=True)
            raise

    async def _mend(self, start: AdoptInput, blueprint: Blueprint) -> None:
        dying = [volume.volume_id for volume in blueprint.data_volumes if volume.delete_on_termination]
        if start.mend and dying:
            keep = ec2.VolumesInput(start.server.region, start.instance_id, dying)
            await execute_ec2(ec2.KEEP_VOLUMES, keep, ec2.ActionResult)

    async def _place(self, start: AdoptInput, blueprint: Blueprint) -> Placement:
        price = ec2.RankInput(start.server.region, blueprint, start.policy, limit=1)
        ranked = await execute_ec2(ec2.RANK_POOLS, price, ec2.RankResult)
        return Placement(start.instance_id, blueprint.pool, blueprint.spot_request_id, ranked.hourly_now)

    def _record(self, start: AdoptInput, blueprint: Blueprint, placement: Placement) -> Recorder:
        recorder = Recorder(f"server/{start.server.server_id}", start.server)
        policy = replace(start.policy, accepted_findings=list(start.accept))
        recorder.add(
            RecordKind.SERVER_ADOPTED,
            name=start.server.name,
            region=start.server.region,
            account_id=blueprint.account_id,
            policy=as_json(asdict(policy)),
            handoff=policy.handoff.value,
            moves=planning.moves(blueprint),
        )
        recorder.add(
            RecordKind.INSTANCE,
            instance_id=placement.instance_id,
            state=InstanceState.RUNNING_PRIMARY.value,
            role="primary",
            pool=placement.pool,
            zone=blueprint.zone,
            private_ip=blueprint.private_ip,
            spot_request_id=placement.spot_request_id,
            usd_per_hour=placement.usd_per_hour,
        )
        for kind, resource_id in _resources(blueprint):
            recorder.add(RecordKind.RESOURCE_ADOPTED, type=kind, resource_id=resource_id)
        return recorder

    async def _tag(self, start: AdoptInput, blueprint: Blueprint, *, remove: bool = False) -> None:
        tags = ownership_tags(start.server.client_id, start.server.server_id, f"adopt-{start.server.server_id}")
        ids = [resource_id for _, resource_id in _resources(blueprint)]
        await execute_ec2(ec2.TAG, ec2.TagInput(start.server.region, ids, tags, remove), ec2.ActionResult)

    async def _begin(self, start: AdoptInput, blueprint: Blueprint, placement: Placement, seq: int) -> None:
        policy = replace(start.policy, accepted_findings=list(start.accept))
        shape = ServerShape(primary=placement, blueprint=blueprint)
        await workflow.start_child_workflow(
            "ServerWorkflow",
            ServerInput(start.server, policy, shape, record_seq=seq),
            id=server_workflow_id(start.server.server_id),
            task_queue=CONTROL_QUEUE,
            task_timeout=timedelta(seconds=WORKFLOW_TASK_S),
            parent_close_policy=ParentClosePolicy.ABANDON,
        )


@workflow.defn
class PlanWorkflow:
    """The dry run that a person reads before the first switch. It changes nothing."""

    @workflow.run
    async def run(self, start: PlanInput) -> Plan:
        planned = await survey_and_plan(
            execute_ec2,
            start.server,
            start.policy,
            start.primary.instance_id,
            pool=start.pool,
            cool_downs=start.cool_downs,
            terms=start.terms,
        )
        return planned.plan


def _resources(blueprint: Blueprint) -> list[tuple[str, str]]:
    """What adoption takes into the ledger: everything of the server that carries our tags from now on."""
    found = [("instance", blueprint.instance_id)]
    found += [("volume", volume.volume_id) for volume in blueprint.block_devices]
    found += [("address", address.allocation_id) for address in blueprint.elastic_ips]
    if blueprint.spot_request_id:
        found.append(("spot_request", blueprint.spot_request_id))
    return found
