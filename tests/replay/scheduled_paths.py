"""The paths of scheduled and asked-for workflows that have a recorded history."""

from __future__ import annotations

import asyncio

from domain import ec2, resumption
from domain.adoption import AdoptInput, PlanInput
from domain.autopilot import contract as autopilot
from domain.backtest import contract as backtesting
from domain.errors import Failure
from domain.market import contract as market
from domain.names import CONTROL_QUEUE
from domain.operations import (
    ADOPT_WORKFLOW,
    PLAN_WORKFLOW,
    OperationKind,
    Priority,
)
from domain.reconciliation import contract as reconciliation
from domain.reconciliation.drift import DriftAction, DriftFinding, DriftKind, DriftReason
from domain.reconciliation.unattended_servers import workflow_missing as found_unattended
from domain.savings import contract as savings
from domain.servers import Handoff, ServerPolicy
from domain.webhooks import contract as webhooks
from tests.replay.path_run import HistoryPath, PathRun
from tests.workflows.ec2_state import OLD, REGION, SPOT
from tests.workflows.fake_cloud import FakeCloud
from tests.workflows.faults import failing, while_in
from tests.workflows.server_under_test import adopted_shape


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


SCHEDULED_PATHS: dict[str, HistoryPath] = {
    "adopt": _adopt,
    "plan": _plan,
    "resume": _resumed,
    "resume-refused": lambda path_run: _resume_refused(path_run, gone=True),
    "resume-silent": lambda path_run: _resume_refused(path_run, gone=False),
    "autopilot": _autopilot,
    "candidates": lambda path_run: _upkeep(
        path_run, autopilot.CANDIDATES_WORKFLOW, autopilot.PreviewInput(path_run.ref.server_id)
    ),
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
