"""Every workflow of the control plane, for its worker and for the replay tests."""

from __future__ import annotations

from workflows.operations.failover import FailoverWorkflow
from workflows.operations.launch import LaunchWorkflow
from workflows.operations.promote import PromoteWorkflow
from workflows.operations.replica import ReplicaWorkflow
from workflows.operations.switch import SwitchWorkflow
from workflows.operations.terminate import TerminateWorkflow
from workflows.scheduled.adopt import AdoptWorkflow, PlanWorkflow
from workflows.scheduled.autopilot import AutopilotWorkflow, CandidatesWorkflow
from workflows.scheduled.backtest import BacktestWorkflow
from workflows.scheduled.market import MARKET_WORKFLOWS
from workflows.scheduled.reconcile import ReconcileWorkflow
from workflows.scheduled.resume import ResumeWorkflow
from workflows.scheduled.savings import SAVINGS_WORKFLOWS
from workflows.scheduled.webhooks import WEBHOOK_WORKFLOWS
from workflows.server.workflow import ServerWorkflow

WORKFLOWS: list[type] = [
    AdoptWorkflow,
    AutopilotWorkflow,
    BacktestWorkflow,
    CandidatesWorkflow,
    FailoverWorkflow,
    LaunchWorkflow,
    PlanWorkflow,
    PromoteWorkflow,
    ReconcileWorkflow,
    ReplicaWorkflow,
    ResumeWorkflow,
    ServerWorkflow,
    SwitchWorkflow,
    TerminateWorkflow,
    *MARKET_WORKFLOWS,
    *SAVINGS_WORKFLOWS,
    *WEBHOOK_WORKFLOWS,
]
