"""The activities of the control plane's own work: reconciliation, resumption, autopilot, market, savings, webhooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from domain import records, resumption
from domain.autopilot import contract as autopilot
from domain.backtest import contract as backtesting
from domain.market import contract as market
from domain.names import server_workflow_id
from domain.operations import OperationStatus
from domain.reconciliation import contract as reconciliation
from domain.reconciliation.drift import DriftFinding
from domain.savings import contract as savings
from domain.servers import Handoff, ServerPolicy, ServerRef
from domain.webhooks import contract as webhooks
from tests.workflows.ec2_state import ACCOUNT, FakeEc2State
from tests.workflows.fake_records import FakeRecords


@dataclass
class DriftAnswers:
    """What reconciliation finds, what of it is due, and what it asks the servers for."""

    findings: list[DriftFinding] = field(default_factory=list)
    unattended: list[DriftFinding] = field(default_factory=list)
    due: list[DriftFinding] = field(default_factory=list)
    lost: list[reconciliation.LostInstance] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)


class FakeScheduled:
    def __init__(self, handoff: Handoff, ec2_state: FakeEc2State) -> None:
        self.ec2_state = ec2_state
        self.handoff = handoff
        self.records = FakeRecords()
        self.broken_decision = ""  # why a decision no longer holds
        self.evaluated = autopilot.EvaluateResult()
        self.plans: list[autopilot.KeepPlanInput] = []
        self.drift = DriftAnswers()
        self.running: list[str] = []  # workflows that a resumption finds at work
        self.resumed_by = ("", "")  # request and digest, of the one that runs
        self.waiting_deliveries: list[str] = []
        self.handed_over: list[str] = []
        self.delivered: list[str] = []
        self.backtests_settled: list[backtesting.BacktestEnd] = []

    # --- reconciliation

    def look_around(self, given: reconciliation.ReconcileInput) -> reconciliation.DriftSurvey:
        return reconciliation.DriftSurvey(self.drift.findings, resources=len(self.ec2_state.instances))

    def look_for_workflows(self, given: reconciliation.ReconcileInput) -> reconciliation.DriftSurvey:
        return reconciliation.DriftSurvey(self.drift.unattended)

    def at_rest(self, given: reconciliation.AtRestInput) -> reconciliation.AtRestResult:
        return reconciliation.AtRestResult([one for one in given.server_ids if one not in self.drift.busy])

    def report_drift(self, given: reconciliation.ReportInput) -> reconciliation.ReportResult:
        return reconciliation.ReportResult(
            len(given.surveyed.findings), len(given.surveyed.findings), due=self.drift.due
        )

    def settle_drift(self, given: reconciliation.SettleInput) -> reconciliation.SettleResult:
        rest = [one for one in given.due if one.server_id in given.resting.at_rest]
        return reconciliation.SettleResult([one.key for one in rest], lost=self.drift.lost)

    def ask_for_lost(self, given: reconciliation.LostInstance) -> bool:
        return True

    # --- resuming

    def resume_look(self, given: resumption.ResumeInput) -> resumption.ResumeSurvey:
        kept, policy = self.records, ServerPolicy(handoff=self.handoff, accepted_findings=["no_address_moves"])
        asked = {one["request_id"]: one for one in kept.of(records.RecordKind.OPERATION_ACCEPTED)}
        ended = {one: OperationStatus(kept.finished.get(one, "needs_attention")) for one in kept.accepted}
        statuses = {key: ended[one["operation_id"]] for key, one in asked.items()}
        recorded = resumption.ServerRecords(
            active=True,
            account_id=ACCOUNT,
            policy=policy,
            record_seq=len(kept.applied.get(server_workflow_id(given.server.server_id), [])),
            primary=self.ec2_state.placement(kept.primary),
            requests={key: one["digest"] for key, one in asked.items()},
            outcomes=ended,
            notices=resumption.finished_notices(statuses),
            unfinished=[one for one in kept.accepted if one not in kept.finished],
        )
        return resumption.ResumeSurvey(recorded, self.running, *self.resumed_by)

    def resume_remains(self, given: ServerRef) -> resumption.RemainingResources:
        owned = sorted(self.ec2_state.owned())
        volumes = [f"volume {one}" for one in owned if one.startswith("vol-")]
        return resumption.RemainingResources(volumes, [one for one in owned if one.startswith("i-")])

    def resume_fence(self, given: resumption.ResumeFenceInput) -> resumption.ResumeFenceResult:
        self.records.finished |= dict.fromkeys(given.unfinished, "needs_attention")
        return resumption.ResumeFenceResult(given.record_seq)

    # --- the autopilot

    def evaluate(self, given: autopilot.EvaluateInput) -> autopilot.EvaluateResult:
        return self.evaluated

    def ask(self, given: autopilot.AskServerInput) -> str:
        return f"op-{given.decision_id}"

    def keep_plan(self, given: autopilot.KeepPlanInput) -> None:
        self.plans.append(given)

    def reconsider(self, given: autopilot.ReconsiderInput) -> autopilot.ReconsiderResult:
        return autopilot.ReconsiderResult(not self.broken_decision, self.broken_decision)

    def look(self, given: autopilot.PreviewInput) -> autopilot.PreviewResult:
        return autopilot.PreviewResult("stay", "best_already", figures={"server": given.server_id})

    # --- the market

    def collect_spot(self, given: market.CollectSpotInput) -> market.CollectSpotResult:
        return market.CollectSpotResult(observed=1)

    def collect_on_demand(self, given: market.CollectOnDemandInput) -> market.CollectOnDemandResult:
        return market.CollectOnDemandResult(asked=1, priced=1)

    def collect_scores(self, given: market.CollectScoresInput) -> market.CollectScoresResult:
        return market.CollectScoresResult(len(given.groups))

    def thin_out(self, given: market.ThinOutInput) -> market.ThinOutResult:
        return market.ThinOutResult()

    # --- the ledger of savings

    def accrue(self, given: savings.AccrueInput) -> savings.AccrueResult:
        return savings.AccrueResult(servers=1, accruals=1, lacking={"us-east-1": ["m5.large"]})

    def tell_week(self, given: savings.WeeklySummaryInput) -> savings.WeeklySummaryResult:
        return savings.WeeklySummaryResult("2026-02-23", 1)

    def expire(self, given: savings.ExpireInput) -> savings.ExpireResult:
        return savings.ExpireResult(events=1)

    # --- webhooks

    def collect_events(self, given: webhooks.CollectEventsInput) -> webhooks.CollectEventsResult:
        waiting = [webhooks.DeliverInput(one, f"client of {one}") for one in self.waiting_deliveries]
        return webhooks.CollectEventsResult(len(waiting), waiting)

    def handed(self, given: webhooks.MarkHandedOverInput) -> None:
        self.handed_over += given.ids

    def deliver(self, given: webhooks.DeliverInput) -> webhooks.DeliverResult:
        self.delivered.append(given.delivery_id)
        return webhooks.DeliverResult("delivered", 1)

    # --- backtests

    def backtest_run(self, given: backtesting.RunBacktestInput) -> None:
        pass

    def backtest_settle(self, given: backtesting.BacktestEnd) -> None:
        self.backtests_settled.append(given)


SCHEDULED_PLAYED: dict[str, Callable[[FakeScheduled, Any], Any]] = {
    reconciliation.RECONCILE_SURVEY: FakeScheduled.look_around,
    reconciliation.UNATTENDED: FakeScheduled.look_for_workflows,
    reconciliation.AT_REST: FakeScheduled.at_rest,
    reconciliation.REPORT: FakeScheduled.report_drift,
    reconciliation.SETTLE: FakeScheduled.settle_drift,
    reconciliation.REPLACE_LOST: FakeScheduled.ask_for_lost,
    resumption.RESUME_SURVEY: FakeScheduled.resume_look,
    resumption.RESUME_REMAINS: FakeScheduled.resume_remains,
    resumption.RESUME_FENCE: FakeScheduled.resume_fence,
    autopilot.EVALUATE: FakeScheduled.evaluate,
    autopilot.ASK_SERVER: FakeScheduled.ask,
    autopilot.KEEP_PLAN: FakeScheduled.keep_plan,
    autopilot.RECONSIDER: FakeScheduled.reconsider,
    autopilot.PREVIEW: FakeScheduled.look,
    market.COLLECT_SPOT: FakeScheduled.collect_spot,
    market.COLLECT_ON_DEMAND: FakeScheduled.collect_on_demand,
    market.COLLECT_SCORES: FakeScheduled.collect_scores,
    market.THIN_OUT: FakeScheduled.thin_out,
    savings.ACCRUE: FakeScheduled.accrue,
    savings.SEND_WEEKLY_SUMMARY: FakeScheduled.tell_week,
    savings.EXPIRE_EVENTS: FakeScheduled.expire,
    webhooks.COLLECT_EVENTS: FakeScheduled.collect_events,
    webhooks.MARK_HANDED_OVER: FakeScheduled.handed,
    webhooks.DELIVER: FakeScheduled.deliver,
    backtesting.BACKTEST_RUN: FakeScheduled.backtest_run,
    backtesting.BACKTEST_SETTLE: FakeScheduled.backtest_settle,
}
