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
from domain.reconciliation.drift import Finding
from domain.savings import contract as savings
from domain.servers import Handoff, ServerPolicy, ServerRef
from domain.webhooks import contract as webhooks
from tests.workflows.ec2_state import ACCOUNT, HOME, PRICES, Volume, World, candidate
from tests.workflows.fake_records import Records
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
class Drift:
    """What reconciliation finds, what of it is due, and what it asks the servers for."""

    findings: list[Finding] = field(default_factory=list)
    unattended: list[Finding] = field(default_factory=list)
    due: list[Finding] = field(default_factory=list)
    lost: list[reconciliation.Lost] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)


class Cloud:
    def __init__(self, handoff: Handoff, *, targets: bool = False, elastic: bool = False) -> None:
        self.handoff = handoff
        self.world = World(volumes=handoff is not Handoff.STATELESS, targets=targets, elastic=elastic)
        self.records = Records()
        self.server_id = ""  # whose cloud it is; empty: anybody's
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.empty: set[str] = set()  # pools without capacity
        self.problems: list[str] = []
        self.denied: list[str] = []
        self.cool_downs: dict[str, float] = {}
        self.broken_decision = ""  # why a decision no longer holds
        self.evaluated = autopilot.Evaluated()
        self.plans: list[autopilot.PlanKept] = []
        self.drift = Drift()
        self.running: list[str] = []  # workflows that a resumption finds at work
        self.resumed_by = ("", "")  # request and digest, of the one that runs
        self.waiting_deliveries: list[str] = []
        self.handed_over: list[str] = []
        self.delivered: list[str] = []
        self.backtests_settled: list[backtesting.Settled] = []
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

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    # --- one activity

    async def play(self, name: str, argument: Any) -> Any:
        self.world.tick()
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
        self.world.tick()
        self.changed.set()
        return answer

    # --- looking and choosing

    def inspect(self, given: ec2.InspectInput) -> ec2.Inspected:
        if given.instance_id not in self.world.instances:
            raise _failed(Failure.GONE, f"no instance {given.instance_id}")
        return ec2.Inspected(self.world.blueprint(given.instance_id), ACCOUNT, ["DescribeInstances"])

    def rank(self, given: ec2.RankInput) -> ec2.Ranked:
        pools = [p for p in self.world.market if p not in given.avoid]
        pools = [p for p in pools if not given.same_zone or p.startswith(given.same_zone)]
        if given.asked and given.asked not in PRICES:
            raise _failed(Failure.REFUSED, f"{given.asked} cannot be used")
        pools.sort(key=lambda p: p != given.asked)
        return ec2.Ranked([candidate(p) for p in pools[: given.limit]], PRICES[HOME], 0.096)

    def survey(self, given: ec2.SurveyInput) -> ec2.Surveyed:
        seen = self.inspect(ec2.InspectInput(given.region, given.instance_id))
        old = seen.blueprint
        zone = planning.bound_to_zone(old, given.policy)
        ranked = self.rank(ec2.RankInput(given.region, old, given.policy, given.asked, given.avoid, zone))
        candidates = [one for one in ranked.candidates if str(one.pool) != old.pool]
        checked = self.check(ec2.CheckInput(given.region, old, candidates))
        return ec2.Surveyed(old, seen.account_id, candidates, ranked.hourly_now, checked, seen.calls)

    def check(self, given: ec2.CheckInput) -> ec2.Checked:
        return ec2.Checked(problems=self.problems, missing_permissions=self.denied)

    # --- instances

    def launch(self, given: ec2.LaunchInput) -> ec2.Launched:
        if given.pool in self.empty:
            raise _failed(Failure.NO_CAPACITY, f"no capacity in {given.pool}")
        made = self._by_token(given.token)
        if made is None:
            instance = self.world.add(self.world.next_instance_id(), given.pool, tags=given.tags)
            instance.token, instance.state, instance.changed = given.token, "pending", dict(self.altered)
            for number in range(len(given.data_volumes_gib)):
                made_with = self.world.add_volume(
                    instance.zone, f"/dev/sd{'fgh'[number]}", attached_to=instance.instance_id
                )
                made_with.tags = dict(given.tags)
            made = instance.instance_id
        one = self.world.instances[made]
        return ec2.Launched(made, one.spot_request_id, one.state, f"eni-{made}", ["RunInstances"])

    def find(self, given: ec2.TokenInput) -> ec2.Found:
        made = self._by_token(given.token)
        if made is None:
            return ec2.Found()
        return ec2.Found(made, self.world.instances[made].state, self.world.instances[made].spot_request_id)

    def confirm_running(self, given: ec2.InstanceInput) -> ec2.Confirmed:
        one = self.world.instances[given.instance_id]
        if one.state == "pending":
            one.state = "running"
            one.serving = not self.world.stateful
        if not one.alive:
            raise _failed(Failure.BAD_STATE, f"{given.instance_id} is {one.state}")
        return ec2.Confirmed(
            one.state,
            _now(),
            one.zone,
            one.subnet_id,
            one.private_ip,
            one.spot_request_id,
            f"eni-{one.instance_id}",
            [v.volume_id for v in sorted(self.world.attached(one.instance_id), key=lambda v: not v.root)],
        )

    def terminate(self, given: ec2.TerminateInput) -> ec2.Done:
        self.world.end(given.instance_id)
        return ec2.Done(["TerminateInstances"])

    def confirm_terminated(self, given: ec2.InstanceInput) -> ec2.Confirmed:
        one = self.world.instances[given.instance_id]
        if one.state != "terminated":
            raise _failed(Failure.NOT_YET, f"{given.instance_id} is {one.state}")
        return ec2.Confirmed("terminated", _now())

    def volumes_of(self, given: ec2.InstanceInput) -> ec2.Made:
        return ec2.Made([v.volume_id for v in self.world.attached(given.instance_id) if v.dies_with_instance])

    def keep_volumes(self, given: ec2.VolumesInput) -> ec2.Done:
        for volume_id in given.volume_ids:
            self.world.volumes[volume_id].dies_with_instance = False
        return ec2.Done(["ModifyInstanceAttribute"])

    def tag(self, given: ec2.TagInput) -> ec2.Done:
        for resource in given.resource_ids:
            tags = self._tags_of(resource)
            for key, value in given.tags.items():
                if given.remove:
                    tags.pop(key, None)
                else:
                    tags[key] = value
        return ec2.Done(["DeleteTags" if given.remove else "CreateTags"])

    def match(self, given: ec2.MatchInput) -> ec2.Done:
        return ec2.Done(["ModifyInstanceAttribute"])

    # --- volumes and snapshots

    def detach(self, given: ec2.AttachInput) -> ec2.Done:
        for volume in self._volumes(given):
            if volume.attached_to == given.instance_id and not self.world.instances[given.instance_id].mounted:
                volume.attached_to = ""
        if any(volume.attached_to == given.instance_id for volume in self._volumes(given)):
            raise _failed(Failure.NOT_YET, f"a volume is busy on {given.instance_id}")
        return ec2.Done(["DetachVolume", "DescribeVolumes"])

    def attach(self, given: ec2.AttachInput) -> ec2.Done:
        one = self.world.instances[given.instance_id]
        for volume in self._volumes(given):
            if volume.attached_to == given.instance_id:
                continue
            if volume.attached_to or volume.zone != one.zone or not one.alive:
                raise _failed(Failure.BAD_STATE, f"{volume.volume_id} cannot be attached to {given.instance_id}")
            volume.attached_to = given.instance_id
        return ec2.Done(["AttachVolume", "DescribeVolumes"])

    def create_snapshots(self, given: ec2.SnapshotInput) -> ec2.Made:
        made = [key for key, (token, _, _) in self.world.snapshots.items() if token == given.token]
        if not made and not given.find_only:
            for volume_id in given.volume_ids:
                key = f"snap-{len(self.world.snapshots) + 1}-{given.token[:4]}"
                self.world.snapshots[key] = (given.token, self._volume(volume_id).writes, dict(given.tags))
                made.append(key)
        return ec2.Made(made, ["CreateSnapshot"])

    def confirm_ids(self, given: ec2.IdsInput) -> ec2.Done:
        return ec2.Done(["Describe"])

    def create_volumes(self, given: ec2.CreateVolumesInput) -> ec2.Made:
        made = [v.volume_id for v in self.world.volumes.values() if v.token == given.token]
        if not made and not given.find_only:
            for copy in given.copies:
                volume = self.world.add_volume(given.zone, copy.device)
                volume.writes = self.world.snapshots[copy.snapshot_id][1]
                volume.tags, volume.token = {**copy.tags, **given.tags}, given.token
                made.append(volume.volume_id)
        return ec2.Made(made, ["CreateVolume"])

    def delete_volumes(self, given: ec2.IdsInput) -> ec2.Done:
        for volume_id in given.ids:
            volume = self.world.volumes.get(volume_id)
            if volume and volume.attached_to:
                raise _failed(Failure.BAD_STATE, f"{volume_id} is in use by {volume.attached_to}")
            self.world.volumes.pop(volume_id, None)
        return ec2.Done(["DeleteVolume"])

    def delete_snapshots(self, given: ec2.IdsInput) -> ec2.Done:
        for key in given.ids:
            self.world.snapshots.pop(key, None)
        return ec2.Done(["DeleteSnapshot"])

    # --- traffic

    def move_addresses(self, given: ec2.AddressesInput) -> ec2.Done:
        if given.elastic_ips:
            self.world.elastic_on = given.instance_id
        return ec2.Done(["AssociateAddress"])

    def register(self, given: ec2.TargetsInput) -> ec2.Done:
        self.world.registered.add(given.instance_id)
        return ec2.Done(["RegisterTargets"])

    def confirm_targets(self, given: ec2.TargetsInput) -> ec2.Done:
        if not self.world.instances[given.instance_id].serving:
            raise _failed(Failure.NOT_YET, f"{given.instance_id} is unhealthy")
        return ec2.Done(["DescribeTargetHealth"])

    def deregister(self, given: ec2.TargetsInput) -> ec2.Done:
        self.world.registered.discard(given.instance_id)
        return ec2.Done(["DeregisterTargets"])

    def confirm_drained(self, given: ec2.TargetsInput) -> ec2.Done:
        return ec2.Done(["DescribeTargetHealth"])

    # --- hosts

    def host_ready(self, given: host.ReadyRequest) -> host.ReadyReport:
        one = self._here()
        if given.check_health and not one.serving:
            raise _failed(Failure.HOST_FAILED, "the health hook fails")
        return host.ReadyReport(one.instance_id, "1", _now())

    def host_inventory(self, given: host.InventoryRequest) -> host.Inventory:
        one = self._here()
        return host.Inventory(one.instance_id, self.world.filesystems if one.mounted else [])

    def host_quiesce(self, given: host.QuiesceRequest) -> host.QuiesceReport:
        one = self._here()
        one.serving = one.mounted = False
        return host.QuiesceReport(one.instance_id, _now(), given.filesystems)

    def host_resume(self, given: host.ResumeRequest) -> host.ResumeReport:
        one = self._here()
        if given.filesystems and not self.world.attached(one.instance_id, data=True):
            raise _failed(Failure.HOST_FAILED, "its filesystem is not there")
        self.world.start_workload(one)
        return host.ResumeReport(one.instance_id, _now(), given.filesystems)

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

    def look_around(self, given: reconciliation.Look) -> reconciliation.Surveyed:
        return reconciliation.Surveyed(self.drift.findings, resources=len(self.world.instances))

    def look_for_workflows(self, given: reconciliation.Look) -> reconciliation.Surveyed:
        return reconciliation.Surveyed(self.drift.unattended)

    def at_rest(self, given: reconciliation.Servers) -> reconciliation.Resting:
        return reconciliation.Resting([one for one in given.server_ids if one not in self.drift.busy])

    def report_drift(self, given: reconciliation.Report) -> reconciliation.Reported:
        return reconciliation.Reported(len(given.surveyed.findings), len(given.surveyed.findings), due=self.drift.due)

    def settle_drift(self, given: reconciliation.Settle) -> reconciliation.Settled:
        rest = [one for one in given.due if one.server_id in given.resting.at_rest]
        return reconciliation.Settled([one.key for one in rest], lost=self.drift.lost)

    def ask_for_lost(self, given: reconciliation.Lost) -> bool:
        return True

    # --- resuming

    def resume_look(self, given: resumption.ResumeInput) -> resumption.Looked:
        kept, policy = self.records, ServerPolicy(handoff=self.handoff, accepted_findings=["no_address_moves"])
        asked = {one["request_id"]: one for one in kept.of(records.RecordKind.OPERATION_ACCEPTED)}
        ended = {one: OperationStatus(kept.finished.get(one, "needs_attention")) for one in kept.accepted}
        statuses = {key: ended[one["operation_id"]] for key, one in asked.items()}
        recorded = resumption.Recorded(
            active=True,
            account_id=ACCOUNT,
            policy=policy,
            record_seq=len(kept.applied.get(server_workflow_id(given.server.server_id), [])),
            primary=self.world.placement(kept.primary),
            requests={key: one["digest"] for key, one in asked.items()},
            outcomes=ended,
            notices=resumption.known_notices(statuses),
            unfinished=[one for one in kept.accepted if one not in kept.finished],
        )
        return resumption.Looked(recorded, self.running, *self.resumed_by)

    def resume_remains(self, given: ServerRef) -> resumption.Remains:
        owned = sorted(self.world.owned())
        volumes = [f"volume {one}" for one in owned if one.startswith("vol-")]
        return resumption.Remains(volumes, [one for one in owned if one.startswith("i-")])

    def resume_fence(self, given: resumption.FenceInput) -> resumption.Fenced:
        self.records.finished |= dict.fromkeys(given.unfinished, "needs_attention")
        return resumption.Fenced(given.record_seq)

    # --- the autopilot

    def evaluate(self, given: autopilot.Round) -> autopilot.Evaluated:
        return self.evaluated

    def ask(self, given: autopilot.Ask) -> str:
        return f"op-{given.decision_id}"

    def keep_plan(self, given: autopilot.PlanKept) -> None:
        self.plans.append(given)

    def reconsider(self, given: autopilot.Reconsider) -> autopilot.Reconsidered:
        return autopilot.Reconsidered(not self.broken_decision, self.broken_decision)

    def look(self, given: autopilot.Look) -> autopilot.Looked:
        return autopilot.Looked("stay", "best_already", figures={"server": given.server_id})

    # --- the market

    def collect_spot(self, given: market.CollectSpot) -> market.Collected:
        return market.Collected(observed=1)

    def collect_on_demand(self, given: market.CollectOnDemand) -> market.Priced:
        return market.Priced(asked=1, priced=1)

    def collect_scores(self, given: market.CollectScores) -> market.Scored:
        return market.Scored(len(given.groups))

    def thin_out(self, given: market.ThinOut) -> market.Thinned:
        return market.Thinned()

    # --- the ledger of savings

    def accrue(self, given: savings.Accrue) -> savings.Accrued:
        return savings.Accrued(servers=1, accruals=1, lacking={"us-east-1": ["m5.large"]})

    def tell_week(self, given: savings.TellWeek) -> savings.Told:
        return savings.Told("2026-02-23", 1)

    def expire(self, given: savings.Expire) -> savings.Expired:
        return savings.Expired(events=1)

    # --- webhooks

    def collect_events(self, given: webhooks.Collect) -> webhooks.Collected:
        waiting = [webhooks.Deliver(one, f"client of {one}") for one in self.waiting_deliveries]
        return webhooks.Collected(len(waiting), waiting)

    def handed(self, given: webhooks.Handed) -> None:
        self.handed_over += given.ids

    def deliver(self, given: webhooks.Deliver) -> webhooks.Delivered:
        self.delivered.append(given.delivery_id)
        return webhooks.Delivered("delivered", 1)

    # --- backtests

    def backtest_run(self, given: backtesting.RunBacktest) -> None:
        pass

    def backtest_settle(self, given: backtesting.Settled) -> None:
        self.backtests_settled.append(given)

    # --- inside

    def _by_token(self, token: str) -> str | None:
        return next((one.instance_id for one in self.world.instances.values() if one.token == token), None)

    def _volume(self, volume_id: str) -> Volume:
        if volume_id not in self.world.volumes:
            raise _failed(Failure.GONE, f"no volume {volume_id}")
        return self.world.volumes[volume_id]

    def _volumes(self, given: ec2.AttachInput) -> list[Volume]:
        return [self._volume(attachment.volume_id) for attachment in given.attachments]

    def _tags_of(self, resource: str) -> dict[str, str]:
        if resource.startswith("vol-"):
            return self._volume(resource).tags
        if resource.startswith("snap-"):
            return self.world.snapshots[resource][2]
        if resource.startswith("i-"):
            return self.world.instances[resource].tags
        return {}  # addresses and spot requests: followed by what they belong to

    def _here(self) -> Any:
        instance_id = activity.info().task_queue.removeprefix("instance.")
        one = self.world.instances.get(instance_id)
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


_PLAYED: dict[str, Callable[[Cloud, Any], Any]] = {
    ec2.INSPECT: Cloud.inspect,
    ec2.SURVEY: Cloud.survey,
    ec2.RANK_POOLS: Cloud.rank,
    ec2.CHECK_LAUNCH: Cloud.check,
    ec2.LAUNCH: Cloud.launch,
    ec2.FIND_BY_TOKEN: Cloud.find,
    ec2.CONFIRM_RUNNING: Cloud.confirm_running,
    ec2.TERMINATE: Cloud.terminate,
    ec2.CONFIRM_TERMINATED: Cloud.confirm_terminated,
    ec2.VOLUMES_OF: Cloud.volumes_of,
    ec2.KEEP_VOLUMES: Cloud.keep_volumes,
    ec2.TAG: Cloud.tag,
    ec2.MATCH_ATTRIBUTES: Cloud.match,
    ec2.DETACH_VOLUMES: Cloud.detach,
    ec2.ATTACH_VOLUMES: Cloud.attach,
    ec2.CREATE_SNAPSHOTS: Cloud.create_snapshots,
    ec2.CONFIRM_SNAPSHOTS: Cloud.confirm_ids,
    ec2.CREATE_VOLUMES: Cloud.create_volumes,
    ec2.CONFIRM_VOLUMES: Cloud.confirm_ids,
    ec2.DELETE_VOLUMES: Cloud.delete_volumes,
    ec2.DELETE_SNAPSHOTS: Cloud.delete_snapshots,
    ec2.MOVE_ADDRESSES: Cloud.move_addresses,
    ec2.REGISTER_TARGETS: Cloud.register,
    ec2.CONFIRM_TARGETS: Cloud.confirm_targets,
    ec2.DEREGISTER_TARGETS: Cloud.deregister,
    ec2.CONFIRM_DRAINED: Cloud.confirm_drained,
    host.HOST_READY: Cloud.host_ready,
    host.HOST_INVENTORY: Cloud.host_inventory,
    host.HOST_QUIESCE: Cloud.host_quiesce,
    host.HOST_RESUME: Cloud.host_resume,
    records.RECORD: Cloud.record,
    records.COOL_DOWNS: Cloud.resting,
    reconciliation.SURVEY: Cloud.look_around,
    reconciliation.UNATTENDED: Cloud.look_for_workflows,
    reconciliation.AT_REST: Cloud.at_rest,
    reconciliation.REPORT: Cloud.report_drift,
    reconciliation.SETTLE: Cloud.settle_drift,
    reconciliation.ASK: Cloud.ask_for_lost,
    resumption.LOOK: Cloud.resume_look,
    resumption.REMAINS: Cloud.resume_remains,
    resumption.FENCE: Cloud.resume_fence,
    autopilot.EVALUATE: Cloud.evaluate,
    autopilot.ASK: Cloud.ask,
    autopilot.KEEP_PLAN: Cloud.keep_plan,
    autopilot.RECONSIDER: Cloud.reconsider,
    autopilot.LOOK: Cloud.look,
    market.COLLECT_SPOT: Cloud.collect_spot,
    market.COLLECT_ON_DEMAND: Cloud.collect_on_demand,
    market.COLLECT_SCORES: Cloud.collect_scores,
    market.THIN_OUT: Cloud.thin_out,
    savings.ACCRUE: Cloud.accrue,
    savings.TELL_WEEK: Cloud.tell_week,
    savings.EXPIRE: Cloud.expire,
    webhooks.COLLECT: Cloud.collect_events,
    webhooks.HANDED: Cloud.handed,
    webhooks.DELIVER: Cloud.deliver,
    backtesting.BACKTEST_RUN: Cloud.backtest_run,
    backtesting.BACKTEST_SETTLE: Cloud.backtest_settle,
}
_EXCLUSIVE = frozenset({host.HOST_QUIESCE, host.HOST_RESUME})
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
        host.HOST_RESUME,
    }
)


class Stage:
    """Which cloud the session's workers play just now."""

    def __init__(self) -> None:
        self.cloud = Cloud(ServerPolicy().handoff)

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
