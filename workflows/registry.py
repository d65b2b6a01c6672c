"""Every workflow of the control plane, for its worker and for the replay tests."""

from __future__ import annotations

from workflows.adopt import AdoptWorkflow
from workflows.autopilot import AutopilotWorkflow, CandidatesWorkflow
from workflows.backtest import BacktestWorkflow
from workflows.failover import FailoverWorkflow
from workflows.launch import LaunchWorkflow
from workflows.market import MARKET_WORKFLOWS
from workflows.plan import PlanWorkflow
from workflows.promote import PromoteWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.replica import ReplicaWorkflow
from workflows.resume import ResumeWorkflow
from workflows.savings import SAVINGS_WORKFLOWS
from workflows.server import ServerWorkflow
from workflows.switch import SwitchWorkflow
from workflows.terminate import TerminateWorkflow
from workflows.webhooks import WEBHOOK_WORKFLOWS

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
