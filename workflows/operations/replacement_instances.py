"""Capacity: a replacement is asked for pool by pool, recorded before it is made, and undone by token."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain import ec2
from domain.blueprint import Blueprint
from domain.errors import TRY_NEXT_POOL, Failure
from domain.host import HOST_READY, ReadyReport, ReadyRequest
from domain.instance_states import InstanceState
from domain.names import client_token
from domain.pools import Candidate
from domain.records import RecordKind
from domain.servers import Placement
from workflows.activity_calls import explain, failure_of
from workflows.operations.base import Operation
from workflows.operations.capacity_log import Replacement
from workflows.operations.urgency import stop_if_cancelled
from workflows.timeouts import FOREVER, UNDO, poll

_TOKEN_SEARCHES = 12  # half a second apart: longer than describes lag behind a launch


class PoolUnavailable(Exception):
    """This pool gave nothing; the next one may."""


async def obtain(op: Operation, blueprint: Blueprint, candidates: list[Candidate]) -> Replacement:
    """The first of these pools that gives a running instance; each refusal is kept for the receipt."""
    for number, candidate in enumerate(candidates):
        try:
            return await obtain_in_pool(op, blueprint, candidate, number)
        except PoolUnavailable as error:
            op.capacity.refused(candidate.pool, str(error))
    raise ApplicationError(
        f"no capacity in any of {len(candidates)} pools: {'; '.join(op.capacity.refusals) or 'none to try'}",
        type=Failure.NO_CAPACITY,
        non_retryable=True,
    )


async def obtain_in_pool(op: Operation, blueprint: Blueprint, candidate: Candidate, number: int) -> Replacement:
    """Launch in one pool and wait until EC2 says it runs."""
    replacement = await _launch(op, blueprint, candidate, number)
    await _confirm(op, replacement)
    return replacement


async def await_ready(
    op: Operation, replacement: Replacement, *, check_health: bool, pickup_s: float | None = None
) -> ReadyReport:
    """The new agent answers on its queue; the warm-up hook ran; a stateless service is healthy."""
    return await op.host(
        replacement.instance_id,
        HOST_READY,
        ReadyRequest(op.start.operation_id, op.policy.hook_timeout_s, check_health),
        ReadyReport,
        seconds=op.policy.hook_timeout_s,
        pickup_s=op.policy.launch_timeout_s if pickup_s is None else pickup_s,
    )


async def _launch(op: Operation, blueprint: Blueprint, candidate: Candidate, number: int) -> Replacement:
    pool = str(candidate.pool)
    token = client_token(op.start.operation_id, "launch", number, pool)
    replacement = op.capacity.begin(candidate, token)
    op.recorder.add(RecordKind.RESOURCE_INTENDED, token=token, type="instance", step="launch", details={"pool": pool})
    undo = op.undo.register(f"terminate what was launched in {pool}", lambda: discard(op, replacement))
    await op.await_ledger()
    requested = workflow.now()
    try:
        launched = await op.ec2(ec2.LAUNCH, _launch_input(op, blueprint, candidate, token), ec2.LaunchResult)
    except ActivityError as error:
        if (kind := failure_of(error)) not in TRY_NEXT_POOL:
            raise
        op.undo.forget(undo)
        replacement.discarded = True
        op.recorder.add(RecordKind.RESOURCE_GONE, token=token, how="never_made")
        cool_down(op, pool, kind.value)
        raise PoolUnavailable(explain(error)) from error
    replacement.instance_id = launched.instance_id
    replacement.spot_request_id = launched.spot_request_id
    op.capacity.add_replacement(launched.instance_id)
    _record_launched(op, replacement, requested.isoformat())
    stop_if_cancelled()
    return replacement


def _launch_input(op: Operation, blueprint: Blueprint, candidate: Candidate, token: str) -> ec2.LaunchInput:
    launch = op.start.request.launch
    return ec2.LaunchInput(
        region=op.server.region,
        blueprint=blueprint,
        pool=str(candidate.pool),
        subnet_id=candidate.subnet_id,
        token=token,
        tags=op.tags,
        max_spot_usd_per_hour=op.policy.max_spot_usd_per_hour if candidate.pool.spot else None,
        data_volumes_gib=launch.data_volumes_gib if launch else [],
    )


def _record_launched(op: Operation, replacement: Replacement, requested_at: str) -> None:
    op.recorder.add(
        RecordKind.RESOURCE_MADE, token=replacement.token, type="instance", resource_id=replacement.instance_id
    )
    if replacement.spot_request_id:
        op.recorder.add(
            RecordKind.RESOURCE_MADE,
            token=f"{replacement.token}/spot",
            type="spot_request",
            resource_id=replacement.spot_request_id,
        )
    pool = replacement.candidate.pool
    op.recorder.add(
        RecordKind.INSTANCE,
        instance_id=replacement.instance_id,
        state=InstanceState.LAUNCHING.value,
        pool=str(pool),
        zone=pool.zone,
        spot_request_id=replacement.spot_request_id,
        usd_per_hour=replacement.candidate.usd_per_hour,
        launch_requested_at=requested_at,
    )


async def _confirm(op: Operation, replacement: Replacement) -> None:
    """Running within the launch limit; else it is discarded and the next pool is asked."""
    where = ec2.InstanceInput(op.server.region, replacement.instance_id)
    try:
        confirmed = await op.ec2(ec2.CONFIRM_RUNNING, where, ec2.ConfirmResult, poll(op.policy.launch_timeout_s))
    except ActivityError as error:
        cool_down(op, str(replacement.candidate.pool), "launch was not confirmed")
        await discard(op, replacement)
        raise PoolUnavailable(explain(error)) from error
    replacement.private_ip = confirmed.private_ip
    replacement.network_interface_id = confirmed.network_interface_id
    replacement.volume_ids = list(confirmed.volume_ids)
    for position, volume_id in enumerate(confirmed.volume_ids):
        token = f"{replacement.token}/volume/{position}"
        op.recorder.add(RecordKind.RESOURCE_MADE, token=token, type="volume", resource_id=volume_id)
    op.recorder.add(
        RecordKind.INSTANCE,
        instance_id=replacement.instance_id,
        state=InstanceState.LAUNCHING.value,
        private_ip=confirmed.private_ip,
        launch_confirmed_at=confirmed.at.isoformat(),
    )


def cool_down(op: Operation, pool: str, reason: str) -> None:
    """Leave a pool alone for a while (invariant 10)."""
    until = workflow.now() + timedelta(seconds=op.policy.cool_down_s)
    op.capacity.rest_pool(pool, until.timestamp())
    op.recorder.add(RecordKind.POOL_COOL_DOWN, pool=pool, until=until.isoformat(), reason=reason)


async def discard(op: Operation, replacement: Replacement) -> None:
    """Terminate what this attempt made, also when it is not known whether it made anything."""
    if replacement.discarded:
        return
    if not replacement.instance_id and not await _found_by_token(op, replacement):
        op.recorder.add(RecordKind.RESOURCE_GONE, token=replacement.token, how="never_made")
        replacement.discarded = True
        return
    await end_instance(op, replacement.placement, replacement.volume_ids)
    if replacement.volume_ids:
        # Its own volumes as it was launched, never one that moved to it since.
        own = ec2.IdsInput(op.server.region, replacement.volume_ids)
        await op.ec2(ec2.DELETE_VOLUMES, own, ec2.ActionResult, UNDO)
    replacement.discarded = True


async def _found_by_token(op: Operation, replacement: Replacement) -> bool:
    for _ in range(_TOKEN_SEARCHES):
        search = ec2.FindByTokenInput(op.server.region, replacement.token)
        found = await op.ec2(ec2.FIND_BY_TOKEN, search, ec2.FindByTokenResult, UNDO)
        if found.instance_id:
            replacement.instance_id = found.instance_id
            replacement.spot_request_id = found.spot_request_id
            _record_launched(op, replacement, workflow.now().isoformat())
            return True
        await workflow.sleep(0.5)
    return False


async def volumes_deleted_with(op: Operation, placement: Placement) -> list[str]:
    """Volumes that end with the instance. EC2 no longer lists those of one that is gone: they are known from before."""
    last_seen = op.start.shape.blueprint
    known = placement.dies_with
    if last_seen and last_seen.instance_id == placement.instance_id:
        known = last_seen.dying_root
    return [*dict.fromkeys([*await ec2_volumes_deleted_with(op, placement), *known])]


async def ec2_volumes_deleted_with(op: Operation, placement: Placement) -> list[str]:
    """Those that EC2 will delete with the instance: its root."""
    where = ec2.InstanceInput(op.server.region, placement.instance_id)
    return (await op.ec2(ec2.VOLUMES_OF, where, ec2.CreateResult, FOREVER)).ids


async def end_instance(op: Operation, placement: Placement, dies_with: Sequence[str] = (), reason: str = "") -> None:
    """Terminate and confirm, within the termination limit; past the limit a person is told, and the wait goes on.

    `dies_with`: volumes that end with the instance, for the ledger.
    """
    target = ec2.InstanceInput(op.server.region, placement.instance_id)
    _record_ending(op, placement.instance_id, InstanceState.TERMINATING, reason, "terminate_requested_at")
    ending = ec2.TerminateInput(op.server.region, placement.instance_id, placement.spot_request_id)
    await op.ec2(ec2.TERMINATE, ending, ec2.ActionResult, FOREVER if op.committed else UNDO)
    try:
        await op.ec2(ec2.CONFIRM_TERMINATED, target, ec2.ConfirmResult, poll(op.policy.terminate_timeout_s))
    except ActivityError:
        op.needs_attention(
            f"{placement.instance_id} is not terminated {op.policy.terminate_timeout_s:.0f} s after it was asked to"
        )
        await op.ec2(ec2.CONFIRM_TERMINATED, target, ec2.ConfirmResult, FOREVER if op.committed else poll(3600.0))
    op.capacity.ended(placement.instance_id)
    _record_ending(op, placement.instance_id, InstanceState.TERMINATED, reason, "terminate_confirmed_at")
    for resource_id in (placement.instance_id, *dies_with):
        op.recorder.add(RecordKind.RESOURCE_GONE, resource_id=resource_id, how="deleted")
    if placement.spot_request_id:
        op.recorder.add(RecordKind.RESOURCE_GONE, resource_id=placement.spot_request_id, how="deleted")


def _record_ending(op: Operation, instance_id: str, state: InstanceState, reason: str, instant: str) -> None:
    op.recorder.add(
        RecordKind.INSTANCE,
        instance_id=instance_id,
        state=state.value,
        reason=reason,
        **{instant: workflow.now().isoformat()},
    )
