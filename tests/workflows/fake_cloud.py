"""The activities of EC2, of the hosts and of the records, played by one fake cloud in memory.

It keeps EC2's rules that the workflows lean on: a client token is used once, a volume attaches once,
in its zone and when it is free, and a mounted volume does not detach. Each call is kept in `calls`
as "activity subject", may meet a fault, and lets a moment of the world pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, get_type_hints

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain import ec2, host, planning, records, resumption
from domain.autopilot import contract as autopilot
from domain.backtest import contract as backtesting
from domain.errors import FINAL, Failure
from domain.market import contract as market
from domain.names import server_workflow_id
from domain.operations import OperationStatus
from domain.reconciliation import contract as reconciliation
from domain.reconciliation.drift import DriftFinding
from domain.savings import contract as savings
from domain.servers import Handoff, ServerPolicy, ServerRef
from domain.webhooks import contract as webhooks
from tests.workflows.ec2_state import ACCOUNT, HOME, PRICES, FakeEc2State, Volume, candidate
from tests.workflows.fake_records import FakeRecords
from tests.workflows.faults import Fault


@dataclass(frozen=True)
class Call:
    name: str
    subject: str
    queue: str
    argument: Any

    def __str__(self) -> str:
        return f"{self.name.removeprefix('ec2_')} {self.subject}".strip()


@dataclass
class DriftAnswers:
    """What reconciliation finds, what of it is due, and what it asks the servers for."""

    findings: list[DriftFinding] = field(default_factory=list)
    unattended: list[DriftFinding] = field(default_factory=list)
    due: list[DriftFinding] = field(default_factory=list)
    lost: list[reconciliation.LostInstance] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)


class FakeCloud:
    def __init__(self, handoff: Handoff, *, targets: bool = False, elastic: bool = False) -> None:
        self.handoff = handoff
        self.ec2_state = FakeEc2State(volumes=handoff is not Handoff.STATELESS, targets=targets, elastic=elastic)
        self.records = FakeRecords()
        self.server_id = ""  # whose cloud it is; empty: anybody's
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.empty: set[str] = set()  # pools without capacity
        self.problems: list[str] = []
        self.denied: list[str] = []
        self.cool_downs: dict[str, float] = {}
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
        self.altered: dict[str, Any] = {}  # attributes that a launch gets wrong
        self.mute: set[str] = set()  # hosts whose agent does not answer
        self.heard: dict[str, asyncio.Queue[host.Notice]] = {}  # what IMDS says there; absent: no watch
        self.boards: dict[str, list[host.Notice]] = {}  # what was said there already
        self.changed = asyncio.Event()
        self._turns: dict[str, int] = {}

    def fault(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    # --- what was called

    @property
    def story(self) -> list[str]:
        """Calls that change something, in order, each once."""
        told: list[str] = []
        for call in self.calls:
            if call.name in _CHANGES and str(call) not in told[-1:]:
                told.append(str(call))
        return told

    def called(self, name: str, subject: str = "") -> list[Call]:
        return [call for call in self.calls if call.name == name and subject in ("", call.subject)]

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    # --- one activity

    async def play(self, name: str, argument: Any) -> Any:
        self.ec2_state.tick()
        subject = _subject(argument)
        if name not in (records.RECORD, records.COOL_DOWNS):
            self.calls.append(Call(name, subject, activity.info().task_queue, argument))
        self.changed.set()
        newest = self._turns[subject] = self._turns.get(subject, 0) + (name in _EXCLUSIVE)
        fault = next((one for one in self.faults if one.takes(name, argument)), None)
        if fault is None:
            return self._act(name, argument)
        await fault.meanwhile()
        if name in _EXCLUSIVE and self._turns[subject] > newest:
            raise _failed("LetGo", "a newer request came: the agent does the newest")
        if not fault.failure:
            return self._act(name, argument)
        if fault.did_it:
            self._act(name, argument)
        raise fault.error()

    def _act(self, name: str, argument: Any) -> Any:
        answer = _PLAYED[name](self, argument)
        self.ec2_state.tick()
        self.changed.set()
        return answer

    # --- looking and choosing

    def inspect(self, given: ec2.InspectInput) -> ec2.InspectResult:
        if given.instance_id not in self.ec2_state.instances:
            raise _failed(Failure.GONE, f"no instance {given.instance_id}")
        return ec2.InspectResult(self.ec2_state.blueprint(given.instance_id), ACCOUNT, ["DescribeInstances"])

    def rank(self, given: ec2.RankInput) -> ec2.RankResult:
        pools = [p for p in self.ec2_state.market if p not in given.avoid]
        pools = [p for p in pools if not given.same_zone or p.startswith(given.same_zone)]
        if given.asked and given.asked not in PRICES:
            raise _failed(Failure.REFUSED, f"{given.asked} cannot be used")
        pools.sort(key=lambda p: p != given.asked)
        return ec2.RankResult([candidate(p) for p in pools[: given.limit]], PRICES[HOME], 0.096)

    def survey(self, given: ec2.SurveyInput) -> ec2.SurveyResult:
        seen = self.inspect(ec2.InspectInput(given.region, given.instance_id))
        old = seen.blueprint
        zone = planning.only_zone(old, given.policy)
        ranked = self.rank(ec2.RankInput(given.region, old, given.policy, given.asked, given.avoid, zone))
        candidates = [one for one in ranked.candidates if str(one.pool) != old.pool]
        checked = self.check(ec2.CheckInput(given.region, old, candidates))
        return ec2.SurveyResult(old, seen.account_id, candidates, ranked.hourly_now, checked, seen.calls)

    def check(self, given: ec2.CheckInput) -> ec2.CheckResult:
        return ec2.CheckResult(problems=self.problems, missing_permissions=self.denied)

    # --- instances

    def launch(self, given: ec2.LaunchInput) -> ec2.LaunchResult:
        if given.pool in self.empty:
            raise _failed(Failure.NO_CAPACITY, f"no capacity in {given.pool}")
        made = self._by_token(given.token)
        if made is None:
            instance = self.ec2_state.add(self.ec2_state.next_instance_id(), given.pool, tags=given.tags)
            instance.token, instance.state, instance.changed = given.token, "pending", dict(self.altered)
            for number in range(len(given.data_volumes_gib)):
                made_with = self.ec2_state.add_volume(
                    instance.zone, f"/dev/sd{'fgh'[number]}", attached_to=instance.instance_id
                )
                made_with.tags = dict(given.tags)
            made = instance.instance_id
        one = self.ec2_state.instances[made]
        return ec2.LaunchResult(made, one.spot_request_id, one.state, f"eni-{made}", ["RunInstances"])

    def find(self, given: ec2.FindByTokenInput) -> ec2.FindByTokenResult:
        made = self._by_token(given.token)
        if made is None:
            return ec2.FindByTokenResult()
        return ec2.FindByTokenResult(
            made, self.ec2_state.instances[made].state, self.ec2_state.instances[made].spot_request_id
        )

    def confirm_running(self, given: ec2.InstanceInput) -> ec2.ConfirmResult:
        one = self.ec2_state.instances[given.instance_id]
        if one.state == "pending":
            one.state = "running"
            one.serving = not self.ec2_state.stateful
        if not one.alive:
            raise _failed(Failure.BAD_STATE, f"{given.instance_id} is {one.state}")
        return ec2.ConfirmResult(
            one.state,
            _now(),
            one.zone,
            one.subnet_id,
            one.private_ip,
            one.spot_request_id,
            f"eni-{one.instance_id}",
            [v.volume_id for v in sorted(self.ec2_state.attached(one.instance_id), key=lambda v: not v.root)],
        )

    def terminate(self, given: ec2.TerminateInput) -> ec2.ActionResult:
        self.ec2_state.end(given.instance_id)
        return ec2.ActionResult(["TerminateInstances"])

    def confirm_terminated(self, given: ec2.InstanceInput) -> ec2.ConfirmResult:
        one = self.ec2_state.instances[given.instance_id]
        if one.state != "terminated":
            raise _failed(Failure.NOT_YET, f"{given.instance_id} is {one.state}")
        return ec2.ConfirmResult("terminated", _now())

    def volumes_of(self, given: ec2.InstanceInput) -> ec2.CreateResult:
        return ec2.CreateResult(
            [v.volume_id for v in self.ec2_state.attached(given.instance_id) if v.dies_with_instance]
        )

    def keep_volumes(self, given: ec2.VolumesInput) -> ec2.ActionResult:
        for volume_id in given.volume_ids:
            self.ec2_state.volumes[volume_id].dies_with_instance = False
        return ec2.ActionResult(["ModifyInstanceAttribute"])

    def tag(self, given: ec2.TagInput) -> ec2.ActionResult:
        for resource in given.resource_ids:
            tags = self._tags_of(resource)
            for key, value in given.tags.items():
                if given.remove:
                    tags.pop(key, None)
                else:
                    tags[key] = value
        return ec2.ActionResult(["DeleteTags" if given.remove else "CreateTags"])

    def match(self, given: ec2.MatchAttributesInput) -> ec2.ActionResult:
        return ec2.ActionResult(["ModifyInstanceAttribute"])

    # --- volumes and snapshots

    def detach(self, given: ec2.AttachInput) -> ec2.ActionResult:
        for volume in self._volumes(given):
            if volume.attached_to == given.instance_id and not self.ec2_state.instances[given.instance_id].mounted:
                volume.attached_to = ""
        if any(volume.attached_to == given.instance_id for volume in self._volumes(given)):
            raise _failed(Failure.NOT_YET, f"a volume is busy on {given.instance_id}")
        return ec2.ActionResult(["DetachVolume", "DescribeVolumes"])

    def attach(self, given: ec2.AttachInput) -> ec2.ActionResult:
        one = self.ec2_state.instances[given.instance_id]
        for volume in self._volumes(given):
            if volume.attached_to == given.instance_id:
                continue
            if volume.attached_to or volume.zone != one.zone or not one.alive:
                raise _failed(Failure.BAD_STATE, f"{volume.volume_id} cannot be attached to {given.instance_id}")
            volume.attached_to = given.instance_id
        return ec2.ActionResult(["AttachVolume", "DescribeVolumes"])

    def create_snapshots(self, given: ec2.SnapshotInput) -> ec2.CreateResult:
        made = [key for key, (token, _, _) in self.ec2_state.snapshots.items() if token == given.token]
        if not made and not given.find_only:
            for volume_id in given.volume_ids:
                key = f"snap-{len(self.ec2_state.snapshots) + 1}-{given.token[:4]}"
                self.ec2_state.snapshots[key] = (given.token, self._volume(volume_id).writes, dict(given.tags))
                made.append(key)
        return ec2.CreateResult(made, ["CreateSnapshot"])

    def confirm_ids(self, given: ec2.IdsInput) -> ec2.ActionResult:
        return ec2.ActionResult(["Describe"])

    def create_volumes(self, given: ec2.CreateVolumesInput) -> ec2.CreateResult:
        made = [v.volume_id for v in self.ec2_state.volumes.values() if v.token == given.token]
        if not made and not given.find_only:
            for copy in given.copies:
                volume = self.ec2_state.add_volume(given.zone, copy.device)
                volume.writes = self.ec2_state.snapshots[copy.snapshot_id][1]
                volume.tags, volume.token = {**copy.tags, **given.tags}, given.token
                made.append(volume.volume_id)
        return ec2.CreateResult(made, ["CreateVolume"])

    def delete_volumes(self, given: ec2.IdsInput) -> ec2.ActionResult:
        for volume_id in given.ids:
            volume = self.ec2_state.volumes.get(volume_id)
            if volume and volume.attached_to:
                raise _failed(Failure.BAD_STATE, f"{volume_id} is in use by {volume.attached_to}")
            self.ec2_state.volumes.pop(volume_id, None)
        return ec2.ActionResult(["DeleteVolume"])

    def delete_snapshots(self, given: ec2.IdsInput) -> ec2.ActionResult:
        for key in given.ids:
            self.ec2_state.snapshots.pop(key, None)
        return ec2.ActionResult(["DeleteSnapshot"])

    # --- traffic

    def move_addresses(self, given: ec2.AddressesInput) -> ec2.ActionResult:
        if given.elastic_ips:
            self.ec2_state.elastic_on = given.instance_id
        return ec2.ActionResult(["AssociateAddress"])

    def register(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        self.ec2_state.registered.add(given.instance_id)
        return ec2.ActionResult(["RegisterTargets"])

    def confirm_targets(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        if not self.ec2_state.instances[given.instance_id].serving:
            raise _failed(Failure.NOT_YET, f"{given.instance_id} is unhealthy")
        return ec2.ActionResult(["DescribeTargetHealth"])

    def deregister(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        self.ec2_state.registered.discard(given.instance_id)
        return ec2.ActionResult(["DeregisterTargets"])

    def confirm_drained(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        return ec2.ActionResult(["DescribeTargetHealth"])

    # --- hosts

    def host_ready(self, given: host.ReadyRequest) -> host.ReadyReport:
        one = self._here()
        if given.check_health and not one.serving:
            raise _failed(Failure.HOST_FAILED, "the health hook fails")
        return host.ReadyReport(one.instance_id, "1", _now())

    def host_inventory(self, given: host.InventoryRequest) -> host.Inventory:
        one = self._here()
        return host.Inventory(one.instance_id, self.ec2_state.filesystems if one.mounted else [])

    def host_quiesce(self, given: host.QuiesceRequest) -> host.QuiesceReport:
        one = self._here()
        one.serving = one.mounted = False
        return host.QuiesceReport(one.instance_id, _now(), given.filesystems)

    def host_resume(self, given: host.ServeRequest) -> host.ServeReport:
        one = self._here()
        if given.filesystems and not self.ec2_state.attached(one.instance_id, data=True):
            raise _failed(Failure.HOST_FAILED, "its filesystem is not there")
        self.ec2_state.start_workload(one)
        return host.ServeReport(one.instance_id, _now(), given.filesystems)

    async def host_watch(self, given: host.WatchRequest) -> host.Notice:
        """As an agent's board: whoever asks is told, also when a watch that nobody waits for was told first."""
        instance_id = activity.info().task_queue.removeprefix("instance.")
        if instance_id not in self.heard:
            raise _failed(Failure.GONE, "nobody watches here")
        board = self.boards.setdefault(instance_id, [])
        while True:
            if news := [one for one in board if one.notice_id not in given.known]:
                return news[0]
            with suppress(TimeoutError):
                board.append(await asyncio.wait_for(self.heard[instance_id].get(), 0.2))

    # --- records

    def record(self, given: records.RecordBatch) -> int:
        if self.server_id not in ("", given.server_id):
            raise _failed(Failure.GONE, "a word of the test before, whose workflows have just been ended")
        return self.records.apply(given)

    def resting(self, given: records.CoolDownsInput) -> records.CoolDowns:
        return records.CoolDowns(self.cool_downs)

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

    # --- inside

    def _by_token(self, token: str) -> str | None:
        return next((one.instance_id for one in self.ec2_state.instances.values() if one.token == token), None)

    def _volume(self, volume_id: str) -> Volume:
        if volume_id not in self.ec2_state.volumes:
            raise _failed(Failure.GONE, f"no volume {volume_id}")
        return self.ec2_state.volumes[volume_id]

    def _volumes(self, given: ec2.AttachInput) -> list[Volume]:
        return [self._volume(attachment.volume_id) for attachment in given.attachments]

    def _tags_of(self, resource: str) -> dict[str, str]:
        if resource.startswith("vol-"):
            return self._volume(resource).tags
        if resource.startswith("snap-"):
            return self.ec2_state.snapshots[resource][2]
        if resource.startswith("i-"):
            return self.ec2_state.instances[resource].tags
        return {}  # addresses and spot requests: followed by what they belong to

    def _here(self) -> Any:
        instance_id = activity.info().task_queue.removeprefix("instance.")
        one = self.ec2_state.instances.get(instance_id)
        if one is None or not one.alive or instance_id in self.mute:
            raise _failed("AgentSilent", f"no agent answers on {instance_id}")
        return one


def _subject(argument: Any) -> str:
    if where := getattr(argument, "instance_id", ""):
        return str(where)
    if pool := getattr(argument, "pool", ""):
        return str(pool)
    queue = activity.info().task_queue
    return queue.removeprefix("instance.") if queue.startswith("instance.") else ""


def _failed(failure: str, words: str) -> ApplicationError:
    return ApplicationError(words, type=failure, non_retryable=failure in FINAL)


def _now() -> datetime:
    """The server's clock, as far as an activity can know it."""
    return activity.info().started_time.astimezone(UTC)


_PLAYED: dict[str, Callable[[FakeCloud, Any], Any]] = {
    ec2.INSPECT: FakeCloud.inspect,
    ec2.SURVEY: FakeCloud.survey,
    ec2.RANK_POOLS: FakeCloud.rank,
    ec2.CHECK_LAUNCH: FakeCloud.check,
    ec2.LAUNCH: FakeCloud.launch,
    ec2.FIND_BY_TOKEN: FakeCloud.find,
    ec2.CONFIRM_RUNNING: FakeCloud.confirm_running,
    ec2.TERMINATE: FakeCloud.terminate,
    ec2.CONFIRM_TERMINATED: FakeCloud.confirm_terminated,
    ec2.VOLUMES_OF: FakeCloud.volumes_of,
    ec2.KEEP_VOLUMES: FakeCloud.keep_volumes,
    ec2.TAG: FakeCloud.tag,
    ec2.MATCH_ATTRIBUTES: FakeCloud.match,
    ec2.DETACH_VOLUMES: FakeCloud.detach,
    ec2.ATTACH_VOLUMES: FakeCloud.attach,
    ec2.CREATE_SNAPSHOTS: FakeCloud.create_snapshots,
    ec2.CONFIRM_SNAPSHOTS: FakeCloud.confirm_ids,
    ec2.CREATE_VOLUMES: FakeCloud.create_volumes,
    ec2.CONFIRM_VOLUMES: FakeCloud.confirm_ids,
    ec2.DELETE_VOLUMES: FakeCloud.delete_volumes,
    ec2.DELETE_SNAPSHOTS: FakeCloud.delete_snapshots,
    ec2.MOVE_ADDRESSES: FakeCloud.move_addresses,
    ec2.REGISTER_TARGETS: FakeCloud.register,
    ec2.CONFIRM_TARGETS: FakeCloud.confirm_targets,
    ec2.DEREGISTER_TARGETS: FakeCloud.deregister,
    ec2.CONFIRM_DRAINED: FakeCloud.confirm_drained,
    host.HOST_READY: FakeCloud.host_ready,
    host.HOST_INVENTORY: FakeCloud.host_inventory,
    host.HOST_QUIESCE: FakeCloud.host_quiesce,
    host.HOST_SERVE: FakeCloud.host_resume,
    records.RECORD: FakeCloud.record,
    records.COOL_DOWNS: FakeCloud.resting,
    reconciliation.RECONCILE_SURVEY: FakeCloud.look_around,
    reconciliation.UNATTENDED: FakeCloud.look_for_workflows,
    reconciliation.AT_REST: FakeCloud.at_rest,
    reconciliation.REPORT: FakeCloud.report_drift,
    reconciliation.SETTLE: FakeCloud.settle_drift,
    reconciliation.REPLACE_LOST: FakeCloud.ask_for_lost,
    resumption.RESUME_SURVEY: FakeCloud.resume_look,
    resumption.RESUME_REMAINS: FakeCloud.resume_remains,
    resumption.RESUME_FENCE: FakeCloud.resume_fence,
    autopilot.EVALUATE: FakeCloud.evaluate,
    autopilot.ASK_SERVER: FakeCloud.ask,
    autopilot.KEEP_PLAN: FakeCloud.keep_plan,
    autopilot.RECONSIDER: FakeCloud.reconsider,
    autopilot.PREVIEW: FakeCloud.look,
    market.COLLECT_SPOT: FakeCloud.collect_spot,
    market.COLLECT_ON_DEMAND: FakeCloud.collect_on_demand,
    market.COLLECT_SCORES: FakeCloud.collect_scores,
    market.THIN_OUT: FakeCloud.thin_out,
    savings.ACCRUE: FakeCloud.accrue,
    savings.SEND_WEEKLY_SUMMARY: FakeCloud.tell_week,
    savings.EXPIRE_EVENTS: FakeCloud.expire,
    webhooks.COLLECT_EVENTS: FakeCloud.collect_events,
    webhooks.MARK_HANDED_OVER: FakeCloud.handed,
    webhooks.DELIVER: FakeCloud.deliver,
    backtesting.BACKTEST_RUN: FakeCloud.backtest_run,
    backtesting.BACKTEST_SETTLE: FakeCloud.backtest_settle,
}
_EXCLUSIVE = frozenset({host.HOST_QUIESCE, host.HOST_SERVE})
_CHANGES = frozenset(
    {
        ec2.LAUNCH,
        ec2.TERMINATE,
        ec2.DETACH_VOLUMES,
        ec2.ATTACH_VOLUMES,
        ec2.CREATE_SNAPSHOTS,
        ec2.CREATE_VOLUMES,
        ec2.DELETE_VOLUMES,
        ec2.DELETE_SNAPSHOTS,
        ec2.MOVE_ADDRESSES,
        ec2.REGISTER_TARGETS,
        ec2.DEREGISTER_TARGETS,
        host.HOST_READY,
        host.HOST_QUIESCE,
        host.HOST_SERVE,
    }
)


class FakeActivities:
    """Which cloud the session's workers play just now."""

    def __init__(self) -> None:
        self.cloud = FakeCloud(ServerPolicy().handoff)

    def control(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [self._activity(name) for name in _PLAYED if not name.startswith(("host_", "webhooks_"))]

    def webhooks(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [self._activity(name) for name in _PLAYED if name.startswith("webhooks_")]

    def agent(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [*(self._activity(name) for name in _PLAYED if name.startswith("host_")), self._watch()]

    def _activity(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def played(given: Any) -> Any:
            return await self.cloud.play(name, given)

        played.__annotations__["given"] = get_type_hints(_PLAYED[name])["given"]
        return activity.defn(name=name)(played)

    def _watch(self) -> Callable[..., Awaitable[Any]]:
        async def watched(given: host.WatchRequest) -> host.Notice:
            return await self.cloud.host_watch(given)

        return activity.defn(name=host.HOST_WATCH)(watched)
