"""Service and state pass from the old instance to the new, up to and including the commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from domain import blueprint_comparison, ec2, planning
from domain.blueprint import Blueprint
from domain.errors import Failure
from domain.host import HOST_INVENTORY, Filesystem, Inventory, InventoryRequest
from domain.instance_states import InstanceState
from domain.records import RecordKind
from domain.servers import Handoff, Placement, Retire, ServerShape
from workflows.activity_calls import explain, failure_of
from workflows.handoffs.base import HandoffState, HandoffWork, run_concurrently
from workflows.handoffs.snapshot import SnapshotHandoff
from workflows.handoffs.stateless import StatelessHandoff
from workflows.handoffs.volumes import VolumesHandoff
from workflows.operations.base import Operation
from workflows.operations.replacement_instances import end_instance
from workflows.timeouts import CALL, FOREVER

_WORK: dict[Handoff, type[HandoffWork]] = {
    Handoff.STATELESS: StatelessHandoff,
    Handoff.VOLUMES: VolumesHandoff,
    Handoff.SNAPSHOT: SnapshotHandoff,
}


def handoff_for(op: Operation, move: HandoffState) -> HandoffWork:
    """Which handoff it is depends on where capacity was found."""
    kind = planning.handoff_to(move.before, op.policy, move.new.candidate)
    op.describe(
        handoff=kind.value,
        from_pool=move.old.pool,
        to_pool=str(move.new.candidate.pool),
        hourly_before=move.old.usd_per_hour,
        hourly_after=move.new.candidate.usd_per_hour,
    )
    return _WORK[kind](op, move)


async def filesystems_of(op: Operation, instance_id: str, blueprint: Blueprint) -> list[Filesystem]:
    """The data filesystems of the old host, as its agent reports them; if it is silent, as they were last known."""
    if not blueprint.data_volumes:
        return []
    if op.emergency and op.shape.filesystems:
        return op.shape.filesystems  # a rescue does not ask for what is known
    patience = 3.0 if op.emergency else 20.0
    try:
        request = InventoryRequest(op.start.operation_id)
        found = await op.host(instance_id, HOST_INVENTORY, request, Inventory, 10.0, patience)
    except ActivityError as error:
        if op.shape.filesystems:
            return op.shape.filesystems
        raise ApplicationError(
            f"the agent on {instance_id} does not answer, so which filesystems it mounts is not known; "
            "see that spot-agent runs there and reaches the control plane",
            type=Failure.REFUSED,
            non_retryable=True,
        ) from error
    if not found.filesystems and op.shape.filesystems:
        return op.shape.filesystems
    op.shape_draft.learn_filesystems(found.filesystems)
    return found.filesystems


async def run_handoff(op: Operation, work: HandoffWork) -> None:
    """Copy, then the handoff's own steps in their order, each undone in reverse until the commit."""
    op.shape_draft.begin_handoff(work.state.before)
    await op.step("copy", work.copy)
    _record_promoting(op, work)
    *first, last = work.order
    for name in first:
        await op.step(name, getattr(work, name))
    compared = await op.step(last, lambda: _last_step(op, work, getattr(work, last)))
    await op.step("commit", lambda: _commit(op, work, compared))
    if work.traffic_follows_commit:
        await op.step("traffic", work.open_traffic)
        op.describe(control_outage_ms=work.outage_ms)


def _record_promoting(op: Operation, work: HandoffWork) -> None:
    """From here the new instance is on its way to be the primary; a replica that does not make it is one again."""
    instance_id = work.state.new.instance_id
    if op.shape.replica and op.shape.replica.instance_id == instance_id:
        op.undo.register("the replica is a replica again", partial(_replica_again, op, instance_id))
    op.recorder.add(RecordKind.INSTANCE, instance_id=instance_id, state=InstanceState.PROMOTING.value)


async def _replica_again(op: Operation, instance_id: str) -> None:
    if not op.capacity.has_ended(instance_id):
        state = InstanceState.RUNNING_REPLICA.value
        op.recorder.add(RecordKind.INSTANCE, instance_id=instance_id, state=state, role="replica")


async def _last_step(op: Operation, work: HandoffWork, step: Callable[[], Awaitable[None]]) -> bool:
    """The last step before the commit, and beside it the comparison, where that has nothing to wait for."""
    if op.doomed or not work.compared_in_last_step:
        await step()
        return False
    await run_concurrently(step(), compare(op, work))
    return True


async def _commit(op: Operation, work: HandoffWork, compared: bool) -> None:
    """An unexplained difference fails the switch, here at the latest. Then there is no way back.

    A rescue does not turn back for a difference; the receipt lists it.
    """
    if not (op.doomed or compared):
        await compare(op, work)
    op.recorder.add(
        RecordKind.PRIMARY,
        instance_id=work.state.new.instance_id,
        former_instance_id=work.state.old.instance_id,
        former_state=former_state(op, work).value,
    )
    op.describe(control_outage_ms=work.outage_ms)
    await op.commit(
        ServerShape(
            primary=work.state.new.placement,
            replica=_replica_after(op, work),
            filesystems=work.state.filesystems,
            blueprint=work.blueprint_after(),
            kept_snapshots=op.shape.kept_snapshots,
        )
    )


def former_state(op: Operation, work: HandoffWork) -> InstanceState:
    if op.capacity.has_ended(work.state.old.instance_id):
        return InstanceState.TERMINATED
    return InstanceState.RUNNING_REPLICA if keeps_old(op) else InstanceState.TERMINATING


def keeps_old(op: Operation) -> bool:
    """One replica is enough: where there is another one already, the old instance is retired."""
    before = op.start.shape.replica  # not op.shape's: past the commit that may be the old instance itself
    another = before is not None and not op.capacity.is_replacement(before.instance_id)
    return op.policy.retire is Retire.KEEP_REPLICA and not op.doomed and not another


def _replica_after(op: Operation, work: HandoffWork) -> Placement | None:
    if keeps_old(op) and not work.state.old_gone:
        return replace(work.state.old, dies_with=work.state.before.dying_root)
    replica = op.shape.replica
    if replica and (replica.instance_id == work.state.new.instance_id or op.capacity.has_ended(replica.instance_id)):
        return None
    return replica


async def compare(op: Operation, work: HandoffWork) -> None:
    """Every attribute before and after; `Unexplained` when one differs without a reason."""
    after = await _inspect_new(op, work, protection_pending=True)
    changes = blueprint_comparison.compare_blueprints(
        work.state.before, after, moved=True, addresses=not work.traffic_follows_commit, protection_pending=True
    )
    op.describe(changes=changes)
    if bad := blueprint_comparison.unexplained(changes):
        words = "; ".join(f"{c.attribute}: {c.before} -> {c.after}" for c in bad)
        raise ApplicationError(f"unexplained difference: {words}", type=Failure.UNEXPLAINED, non_retryable=True)


async def _inspect_new(op: Operation, work: HandoffWork, *, protection_pending: bool) -> Blueprint:
    match = ec2.MatchAttributesInput(
        op.server.region, work.state.new.instance_id, work.state.before, protection=not protection_pending
    )
    await op.ec2(ec2.MATCH_ATTRIBUTES, match, ec2.ActionResult, FOREVER if op.committed else CALL)
    look = ec2.InspectInput(op.server.region, work.state.new.instance_id)
    return (await op.ec2(ec2.INSPECT, look, ec2.InspectResult, FOREVER if op.committed else CALL)).blueprint


async def finish_handoff(op: Operation, work: HandoffWork) -> None:
    """After the commit: retire the old instance, tidy up, and write the receipt's comparison."""
    after = await op.step("retire", lambda: _retire_and_look(op, work))
    await op.step("receipt", lambda: _receipt(op, work, after))


async def _retire_and_look(op: Operation, work: HandoffWork) -> Blueprint | None:
    """Inspect the new instance while the old one ends, which takes longer.

    None: the new instance has ended by now. Another operation rescues the server; no person has to look.
    """
    looking = asyncio.ensure_future(_inspect_new(op, work, protection_pending=False))
    try:
        await _retire(op, work)
        try:
            return await looking
        except ActivityError as error:
            if failure_of(error) is Failure.GONE:
                op.note(f"not compared once more: {explain(error)}")
                return None
            raise
    finally:
        looking.cancel()


async def _retire(op: Operation, work: HandoffWork) -> None:
    if keeps_old(op) and not work.state.old_gone:
        await work.restart_as_replica()
    elif not op.capacity.has_ended(work.state.old.instance_id):
        await _keep_old_for_a_while(op, work)
        # Also when it is gone already: its spot request and its entries in the ledger are still open.
        await end_instance(op, work.state.old, work.state.before.dying_root)
    kept = await work.clean_up()
    op.shape_draft.keep_snapshots(kept)


async def _keep_old_for_a_while(op: Operation, work: HandoffWork) -> None:
    """The owner wants to keep the old instance for a while, stopped and detached. Another request ends that time."""
    keep_s = op.start.request.keep_old_s
    if keep_s and not work.state.old_gone:
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: op.urgency.keeping_cut_short, timeout=keep_s)


async def _receipt(op: Operation, work: HandoffWork, after: Blueprint | None) -> None:
    if after is not None:
        op.describe(changes=blueprint_comparison.compare_blueprints(work.state.before, after, moved=True))
        if after.state not in (
            "shutting-down",
            "terminated",
        ):  # what such an instance still has is not what the server has
            op.shape_draft.learn_blueprint(after)
    workflow.logger.info("%s is served by %s", op.server.name, work.state.new.instance_id)
