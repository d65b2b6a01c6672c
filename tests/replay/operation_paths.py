"""The paths of servers and their operations that have a recorded history."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from domain import ec2, host
from domain.adoption import LaunchSpec
from domain.autopilot import contract as autopilot
from domain.names import CONTROL_QUEUE, server_workflow_id
from domain.operations import (
    SERVER_WORKFLOW,
    SIGNAL_ABORT,
    SIGNAL_COMMITTED,
    SIGNAL_NOTICE,
    OperationKind,
    Priority,
    ServerInput,
)
from domain.servers import Handoff, ServerPolicy
from tests.replay.path_run import HistoryPath, PathRun, both
from tests.workflows import server_without_agent
from tests.workflows.ec2_state import OLD, OTHER_ZONE, REPLICA, SPOT, SPOT_2
from tests.workflows.fake_cloud import FakeCloud
from tests.workflows.faults import failing, while_in
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog
from tests.workflows.signal_first import SignalFirst


async def _noticed_meanwhile(path_run: PathRun, instance_id: str) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)

    async def notice() -> None:
        await server.notice(instance_id)
        await server.until_heard(server.asked_operation(), SIGNAL_NOTICE)

    server.cloud.fault(while_in(host.HOST_READY, notice))
    return await both(server, (await server.switch()).receipt.operation_id)


async def _cancelled(path_run: PathRun) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)

    async def cancel() -> None:
        await server.cancel(server.asked_operation())
        await server.until_heard(server.asked_operation(), SIGNAL_ABORT)

    server.cloud.fault(while_in(ec2.ATTACH_VOLUMES, cancel))
    return await both(server, (await server.switch()).receipt.operation_id)


async def _failover(path_run: PathRun, handoff: Handoff, **how: Any) -> list[str]:
    faults = how.pop("faults", [])
    server = await path_run.server(handoff, **how)
    server.cloud.faults += faults
    rescue = await server.notice()
    await server.result(rescue)
    return await both(server, rescue)


async def _lost(path_run: PathRun) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)
    server.cloud.ec2_state.end(OLD)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.at_rest()
    return await both(server, server.cloud.records.accepted[0])


async def _unwatched(path_run: PathRun) -> list[str]:
    """The replica's agent takes no watch, then holds one; and goes."""
    with pytest.MonkeyPatch.context() as patch:
        server_without_agent.shorten_timeouts(patch)
        server = await server_without_agent.start(path_run.client, path_run.fakes, path_run.name)
        await server_without_agent.until_memo_is(server, [server_without_agent.HOST])
        async with server_without_agent.with_agent(server, path_run.fakes):
            await server_without_agent.until_memo_is(server, [])
        await server.do(OperationKind.REPLICA_DROP)
        await server.at_rest()
    return [server.handle.id]


async def _settled_at_once(path_run: PathRun) -> list[str]:
    """The commit is told before the start of the operation is heard."""
    server = await path_run.server(Handoff.VOLUMES, replica=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SignalFirst, "awaited", SIGNAL_COMMITTED)
        await server.do(OperationKind.REPLICA_DROP)
        await server.at_rest()
    return [server.handle.id]


async def _queued(path_run: PathRun) -> list[str]:
    """Two wait, one of them is dropped; the server's own history is the one of interest."""
    server = await path_run.server(Handoff.STATELESS)

    async def more() -> None:
        await server.ask(OperationKind.REPLICA_CREATE)
        dropped = await server.ask(OperationKind.SWITCH, pool=OTHER_ZONE)
        await server.cancel(dropped.operation_id)

    server.cloud.fault(while_in(host.HOST_READY, more))
    await server.switch()
    await server.at_rest()
    return [server.handle.id]


async def _what_waited_first(path_run: PathRun) -> list[str]:
    """A drop waits, and with it what only keeps its old instance: the replica is lost meanwhile, and not replaced;
    and the keeping ends at once, for something waits for it."""
    server = await path_run.server(Handoff.STATELESS, replica=True)
    asked = asyncio.Event()
    server.cloud.fault(while_in(ec2.SURVEY, asked.wait))
    await server.ask(OperationKind.SWITCH, pool=SPOT_2)
    await server.ask(OperationKind.REPLICA_DROP)
    await server.notice(REPLICA)
    await server.ask(OperationKind.SWITCH, keep_old_s=3600.0)
    await server.ask(OperationKind.SWITCH, pool=SPOT_2)
    asked.set()
    await server.at_rest()
    return [server.handle.id]


async def _launch(path_run: PathRun) -> list[str]:
    path_run.fakes.cloud = cloud = FakeCloud(Handoff.STATELESS)
    cloud.ec2_state.instances.clear()
    cloud.ec2_state.volumes.clear()
    handle = await path_run.client.start_workflow(
        SERVER_WORKFLOW,
        ServerInput(path_run.ref, ServerPolicy()),
        id=server_workflow_id(path_run.ref.server_id),
        task_queue=CONTROL_QUEUE,
    )
    server = ServerUnderTest(
        path_run.client, Clock(path_run.client, skips=False), cloud, TaskFailureLog(), path_run.ref, handle
    )
    spec = LaunchSpec("ami-1", SPOT, subnet_id="subnet-us-east-1a", data_volumes_gib=[20])
    result = await server.do(OperationKind.LAUNCH, launch=spec)
    return await both(server, result.receipt.operation_id)


async def _decided(path_run: PathRun, *, kept: bool) -> list[str]:
    """A decision is carried out, and its old instance kept until the next one, which no longer holds."""
    server = await path_run.server(Handoff.STATELESS)
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    first = await server.ask(OperationKind.SWITCH, pool=SPOT, decision_id="dec-1", keep_old_s=3600.0, **decided)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    server.cloud.broken_decision = "the price has risen"
    second = await server.ask(OperationKind.SWITCH, pool=OTHER_ZONE, decision_id="dec-2", **decided)
    await server.result(second.operation_id)
    return await both(server, (first if kept else second).operation_id)


async def _decided_rescue(path_run: PathRun) -> list[str]:
    """The notice comes while a decision is looked at once more: the switch goes on as the rescue."""
    server = await path_run.server(Handoff.STATELESS)

    async def notice() -> None:
        await server.notice()
        await server.cloud.until(lambda: bool(server.cloud.called(ec2.LAUNCH)))

    server.cloud.fault(while_in(autopilot.RECONSIDER, notice))
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    result = await server.do(OperationKind.SWITCH, pool=SPOT, decision_id="dec-1", **decided)
    return await both(server, result.receipt.operation_id)


async def _replica_dropped(path_run: PathRun) -> list[str]:
    """By the autopilot, which looks once more before it does."""
    server = await path_run.server(Handoff.VOLUMES, replica=True)
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    asked = await server.ask(OperationKind.REPLICA_DROP, decision_id="dec-1", **decided)
    await server.result(asked.operation_id)
    return await both(server, asked.operation_id)


_K, _H = OperationKind, Handoff
OPERATION_PATHS: dict[str, HistoryPath] = {
    "switch-stateless": lambda path_run: path_run.operation(_K.SWITCH, _H.STATELESS),
    "switch-volumes": lambda path_run: path_run.operation(_K.SWITCH, _H.VOLUMES),
    "switch-snapshot": lambda path_run: path_run.operation(_K.SWITCH, _H.SNAPSHOT, pool=OTHER_ZONE),
    "switch-next-pool": lambda path_run: path_run.operation(
        _K.SWITCH, _H.STATELESS, faults=[failing(ec2.LAUNCH, "NoCapacity", times=1)]
    ),
    "switch-rolled-back": lambda path_run: path_run.operation(
        _K.SWITCH, _H.VOLUMES, faults=[failing(host.HOST_SERVE, times=1)]
    ),
    "switch-snapshot-rolled-back": lambda path_run: path_run.operation(
        _K.SWITCH, _H.SNAPSHOT, pool=OTHER_ZONE, faults=[failing(ec2.ATTACH_VOLUMES, times=1)]
    ),
    "switch-cancelled": _cancelled,
    "switch-becomes-the-rescue": lambda path_run: _noticed_meanwhile(path_run, OLD),
    "switch-replacement-doomed": lambda path_run: _noticed_meanwhile(path_run, "i-1"),
    "failover-stateless": lambda path_run: _failover(path_run, _H.STATELESS),
    "failover-replica": lambda path_run: _failover(path_run, _H.VOLUMES, replica=True),
    "failover-race": lambda path_run: _failover(path_run, _H.VOLUMES),
    "failover-second-round": lambda path_run: _failover(
        path_run, _H.VOLUMES, failover_pools=1, faults=[failing(host.HOST_SERVE, times=1)]
    ),
    "failover-not-fenced": lambda path_run: _failover(path_run, _H.VOLUMES, faults=[failing(host.HOST_QUIESCE)]),
    "failover-lost": _lost,
    "replica-create": lambda path_run: path_run.operation(_K.REPLICA_CREATE, _H.VOLUMES),
    "replica-drop": lambda path_run: path_run.operation(_K.REPLICA_DROP, _H.VOLUMES, replica=True),
    "promote": lambda path_run: path_run.operation(_K.PROMOTE, _H.VOLUMES, replica=True),
    "terminate": lambda path_run: path_run.operation(_K.TERMINATE, _H.VOLUMES, replica=True),
    "release": lambda path_run: path_run.operation(_K.RELEASE, _H.VOLUMES, replica=True),
    "server-queue": _queued,
    "unwatched": _unwatched,
    "settled-at-once": _settled_at_once,
    "what-waited-first": _what_waited_first,
    "launch": _launch,
    "replica-drop-decided": _replica_dropped,
    "decision-carried-out": lambda path_run: _decided(path_run, kept=True),
    "decision-becomes-the-rescue": _decided_rescue,
    "decision-dropped": lambda path_run: _decided(path_run, kept=False),
}
