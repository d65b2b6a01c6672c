"""Every path through the workflows that has a recorded history, played on the fake cloud."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.client import Client

from domain import ec2, host, resumption
from domain.adoption import AdoptInput, LaunchSpec, PlanInput
from domain.autopilot import contract as autopilot
from domain.backtest import contract as backtesting
from domain.errors import Failure
from domain.market import contract as market
from domain.names import CONTROL_QUEUE, operation_workflow_id, server_workflow_id
from domain.operations import (
    ADOPT_WORKFLOW,
    PLAN_WORKFLOW,
    SERVER_WORKFLOW,
    SIGNAL_COMMITTED,
    OperationKind,
    Priority,
    ServerInput,
)
from domain.reconciliation import contract as reconciliation
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.unattended_servers import workflow_missing as found_unattended
from domain.savings import contract as savings
from domain.servers import Handoff, ServerPolicy, ServerRef
from domain.webhooks import contract as webhooks
from tests.workflows import server_without_agent
from tests.workflows.ec2_state import OLD, OTHER_ZONE, REGION, REPLICA, SPOT, SPOT_2
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.faults import failing, while_in
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog, adopted_shape
from tests.workflows.signal_first import SignalFirst


@dataclass(frozen=True)
class PathRun:
    """One path: `name` is that of its recording."""

    client: Client
    fakes: FakeActivities
    name: str

    async def server(self, handoff: Handoff, *, replica: bool = False, **policy: Any) -> ServerUnderTest:
        self.fakes.cloud = FakeCloud(handoff, targets=handoff is Handoff.STATELESS, elastic=handoff is Handoff.VOLUMES)
        allowed = ServerPolicy(handoff=handoff, accepted_findings=["no_address_moves"], **policy)
        clock = Clock(self.client, skips=False)
        return await ServerUnderTest.start(
            self.client, clock, self.fakes.cloud, TaskFailureLog(), self.name, allowed, replica=replica
        )

    @property
    def ref(self) -> ServerRef:
        return ServerRef(f"srv-{self.name}", "cli-1", "orders", REGION)

    async def operation(self, kind: OperationKind, handoff: Handoff, **how: Any) -> list[str]:
        """One operation to its end; both its history and its server's."""
        asked = {key: how.pop(key) for key in ("pool",) if key in how}
        faults = how.pop("faults", [])
        server = await self.server(handoff, **how)
        server.cloud.faults += faults
        result = await server.do(kind, **asked)
        return await _both(server, result.receipt.operation_id)


HistoryPath = Callable[[PathRun], Awaitable[list[str]]]


async def _both(server: ServerUnderTest, operation: str) -> list[str]:
    await server.at_rest()
    return [operation_workflow_id(operation), server.handle.id]


async def _noticed_meanwhile(path_run: PathRun, instance_id: str) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)

    async def notice() -> None:
        await server.notice(instance_id)
        await server.until_heard(server.asked_operation(), "notice")

    server.cloud.fault(while_in(host.HOST_READY, notice))
    return await _both(server, (await server.switch()).receipt.operation_id)


async def _cancelled(path_run: PathRun) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)

    async def cancel() -> None:
        await server.cancel(server.asked_operation())
        await server.until_heard(server.asked_operation(), "abort")

    server.cloud.fault(while_in(ec2.ATTACH_VOLUMES, cancel))
    return await _both(server, (await server.switch()).receipt.operation_id)


async def _failover(path_run: PathRun, handoff: Handoff, **how: Any) -> list[str]:
    faults = how.pop("faults", [])
    server = await path_run.server(handoff, **how)
    server.cloud.faults += faults
    rescue = await server.notice()
    await server.result(rescue)
    return await _both(server, rescue)


async def _lost(path_run: PathRun) -> list[str]:
    server = await path_run.server(Handoff.VOLUMES)
    server.cloud.ec2_state.end(OLD)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.at_rest()
    return await _both(server, server.cloud.records.accepted[0])


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
    return await _both(server, result.receipt.operation_id)


async def _adopt(path_run: PathRun) -> list[str]:
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.VOLUMES, elastic=True)
    for volume in cloud.ec2_state.attached(OLD, data=True):
        volume.dies_with_instance = True
    given = AdoptInput(path_run.ref, OLD, ServerPolicy(handoff=Handoff.VOLUMES), mend=True)
    workflow_id = f"adopt/{path_run.ref.server_id}"
    await path_run.client.execute_workflow(ADOPT_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE)
    return [workflow_id]


async def _plan(path_run: PathRun) -> list[str]:
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.VOLUMES, elastic=True)
    given = PlanInput(path_run.ref, ServerPolicy(handoff=Handoff.VOLUMES), cloud.ec2_state.placement(OLD))
    workflow_id = f"plan/{path_run.ref.server_id}"
    await path_run.client.execute_workflow(PLAN_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE)
    return [workflow_id]


async def _autopilot(path_run: PathRun) -> list[str]:
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.VOLUMES, elastic=True)
    plan = PlanInput(path_run.ref, ServerPolicy(handoff=Handoff.VOLUMES), cloud.ec2_state.placement(OLD))
    ask = autopilot.AskServerInput("dec-1", path_run.ref.server_id, OperationKind.SWITCH, int(Priority.ORDINARY), SPOT)
    cloud.evaluated = autopilot.EvaluateResult(2, asks=[ask], proposals=[autopilot.Proposal("dec-2", plan)])
    workflow_id = f"autopilot/{path_run.ref.server_id}"
    given = autopilot.EvaluateInput()
    await path_run.client.execute_workflow(
        autopilot.AUTOPILOT_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE
    )
    return [workflow_id]


async def _decided(path_run: PathRun, *, kept: bool) -> list[str]:
    """A decision is carried out, and its old instance kept until the next one, which no longer holds."""
    server = await path_run.server(Handoff.STATELESS)
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    first = await server.ask(OperationKind.SWITCH, pool=SPOT, decision_id="dec-1", keep_old_s=3600.0, **decided)
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    server.cloud.broken_decision = "the price has risen"
    second = await server.ask(OperationKind.SWITCH, pool=OTHER_ZONE, decision_id="dec-2", **decided)
    await server.result(second.operation_id)
    return await _both(server, (first if kept else second).operation_id)


async def _decided_rescue(path_run: PathRun) -> list[str]:
    """The notice comes while a decision is looked at once more: the switch goes on as the rescue."""
    server = await path_run.server(Handoff.STATELESS)

    async def notice() -> None:
        await server.notice()
        await server.cloud.until(lambda: bool(server.cloud.called(ec2.LAUNCH)))

    server.cloud.fault(while_in(autopilot.RECONSIDER, notice))
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    result = await server.do(OperationKind.SWITCH, pool=SPOT, decision_id="dec-1", **decided)
    return await _both(server, result.receipt.operation_id)


async def _replica_dropped(path_run: PathRun) -> list[str]:
    """By the autopilot, which looks once more before it does."""
    server = await path_run.server(Handoff.VOLUMES, replica=True)
    decided: dict[str, Any] = {"priority": Priority.ORDINARY, "requested_by": autopilot.REQUESTED_BY}
    asked = await server.ask(OperationKind.REPLICA_DROP, decision_id="dec-1", **decided)
    await server.result(asked.operation_id)
    return await _both(server, asked.operation_id)


async def _upkeep(path_run: PathRun, workflow: str, given: object) -> list[str]:
    """A workflow that a schedule starts and that depends on nothing but its input."""
    path_run.fakes.cloud = FakeCloud(Handoff.STATELESS)
    workflow_id = f"upkeep/{path_run.name}"
    await path_run.client.execute_workflow(workflow, given, id=workflow_id, task_queue=CONTROL_QUEUE)
    return [workflow_id]


async def _reconcile(path_run: PathRun, *, drift: bool = False, unattended: bool = False) -> list[str]:
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.STATELESS)
    if unattended:
        cloud.drift.unattended = [found_unattended(f"srv-{path_run.name}", "cli-1", REGION)]
    if drift:
        server = f"srv-{path_run.name}"
        what = (DriftKind.VANISHED_PRIMARY, DriftAction.ASK, DriftReason.EC2_SAYS_SO, "instance", OLD, "cli-1", server)
        gone = DriftFinding(REGION, *what)
        cloud.drift.findings = cloud.drift.due = [gone]
        cloud.drift.lost = [reconciliation.LostInstance(gone.key, server, OLD)]
    workflow_id = f"reconcile/{path_run.name}"
    given = reconciliation.ReconcileInput()
    await path_run.client.execute_workflow(
        reconciliation.RECONCILE_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE
    )
    return [workflow_id]


async def _dispatched(path_run: PathRun) -> list[str]:
    """Two deliveries are handed to their workflows, of which one is there already."""
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.STATELESS)
    cloud.waiting_deliveries = [f"msg_{path_run.name}_{n}" for n in range(2)]
    deliveries = [webhooks.delivery_workflow_id(one) for one in cloud.waiting_deliveries]
    await path_run.client.execute_workflow(
        webhooks.DELIVER_WORKFLOW,
        webhooks.DeliverInput(cloud.waiting_deliveries[0]),
        id=deliveries[0],
        task_queue=CONTROL_QUEUE,
    )
    workflow_id = f"upkeep/{path_run.name}"
    await path_run.client.execute_workflow(
        webhooks.DISPATCH_WORKFLOW, webhooks.CollectEventsInput(), id=workflow_id, task_queue=CONTROL_QUEUE
    )
    await path_run.client.get_workflow_handle(deliveries[1]).result()
    return [workflow_id, deliveries[0]]


async def _backtest_failed(path_run: PathRun) -> list[str]:
    path_run.fakes.cloud = cloud = FakeCloud(Handoff.STATELESS)
    cloud.fault(failing(backtesting.BACKTEST_RUN, backtesting.NO_DATA))
    workflow_id = backtesting.backtest_workflow_id(path_run.name)
    given = backtesting.RunBacktestInput(path_run.name)
    await path_run.client.execute_workflow(
        backtesting.BACKTEST_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE
    )
    return [workflow_id]


async def _resumed(path_run: PathRun) -> list[str]:
    """A rescue is lost with its server's workflow; the resumed one hears of the notice again, and begins another."""
    server = await path_run.server(Handoff.VOLUMES)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def waits() -> None:
        begun.set()
        await go_on.wait()

    server.cloud.fault(while_in(ec2.RANK_POOLS, waits))
    rescue = await server.notice()
    await begun.wait()
    await server.handle.terminate()
    await server.operation(rescue).terminate()
    go_on.set()
    server.handle = path_run.client.get_workflow_handle(server.handle.id)
    workflow_id = resumption.resume_workflow_id(path_run.ref.server_id)
    given = resumption.ResumeInput(path_run.ref, "r-resume")
    await path_run.client.execute_workflow(resumption.RESUME_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE)
    await server.notice()
    await server.until(lambda view: view.shape.primary is not None and view.shape.primary.instance_id != OLD)
    await server.at_rest()
    return [workflow_id, server.handle.id]


async def _resume_refused(path_run: PathRun, *, gone: bool) -> list[str]:
    """Its primary is gone, or its agent silent."""
    cloud = path_run.fakes.cloud = FakeCloud(Handoff.VOLUMES)
    adopted_shape(cloud, path_run.ref, replica=False)
    cloud.mute = set() if gone else {OLD}
    cloud.faults += [failing(ec2.INSPECT, Failure.GONE)] if gone else []
    workflow_id = resumption.resume_workflow_id(path_run.ref.server_id)
    given = resumption.ResumeInput(path_run.ref, "r-resume")
    await path_run.client.execute_workflow(resumption.RESUME_WORKFLOW, given, id=workflow_id, task_queue=CONTROL_QUEUE)
    return [workflow_id]


_K, _H = OperationKind, Handoff
PATHS: dict[str, HistoryPath] = {
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
    "adopt": _adopt,
    "plan": _plan,
    "resume": _resumed,
    "resume-refused": lambda path_run: _resume_refused(path_run, gone=True),
    "resume-silent": lambda path_run: _resume_refused(path_run, gone=False),
    "autopilot": _autopilot,
    "candidates": lambda path_run: _upkeep(
        path_run, autopilot.CANDIDATES_WORKFLOW, autopilot.PreviewInput(path_run.ref.server_id)
    ),
    "replica-drop-decided": _replica_dropped,
    "decision-carried-out": lambda path_run: _decided(path_run, kept=True),
    "decision-becomes-the-rescue": _decided_rescue,
    "decision-dropped": lambda path_run: _decided(path_run, kept=False),
    "reconcile": _reconcile,
    "reconcile-unattended": lambda path_run: _reconcile(path_run, unattended=True),
    "reconcile-drift": lambda path_run: _reconcile(path_run, drift=True),
    "collect-spot": lambda path_run: _upkeep(path_run, market.COLLECT_SPOT_WORKFLOW, market.CollectSpotInput(REGION)),
    "collect-on-demand": lambda path_run: _upkeep(
        path_run, market.COLLECT_ON_DEMAND_WORKFLOW, market.CollectOnDemandInput(REGION)
    ),
    "collect-scores": lambda path_run: _upkeep(
        path_run, market.COLLECT_SCORES_WORKFLOW, market.CollectScoresInput(REGION, [[]])
    ),
    "backtest": lambda path_run: _upkeep(
        path_run, backtesting.BACKTEST_WORKFLOW, backtesting.RunBacktestInput("bkt-1")
    ),
    "backtest-failed": _backtest_failed,
    "thin-out": lambda path_run: _upkeep(path_run, market.THIN_OUT_WORKFLOW, market.ThinOutInput()),
    "accrue-savings": lambda path_run: _upkeep(path_run, savings.ACCRUE_WORKFLOW, savings.AccrueInput()),
    "weekly-summary": lambda path_run: _upkeep(path_run, savings.WEEKLY_SUMMARY_WORKFLOW, savings.WeeklySummaryInput()),
    "expire-events": lambda path_run: _upkeep(path_run, savings.EXPIRE_WORKFLOW, savings.ExpireInput()),
    "webhooks": _dispatched,
}
