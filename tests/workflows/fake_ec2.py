"""EC2 in memory, with the rules that the workflows lean on.

A client token is used once. A volume attaches once, in its zone and when it is free. A mounted volume does not detach.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from domain import ec2, planning
from domain.errors import FINAL, Failure
from domain.servers import Handoff
from tests.workflows.ec2_state import ACCOUNT, HOME, PRICES, FakeEc2State, Volume, candidate


class FakeEc2:
    def __init__(self, handoff: Handoff, *, targets: bool = False, elastic: bool = False) -> None:
        self.ec2_state = FakeEc2State(volumes=handoff is not Handoff.STATELESS, targets=targets, elastic=elastic)
        self.empty: set[str] = set()  # pools without capacity
        self.problems: list[str] = []
        self.denied: list[str] = []
        self.altered: dict[str, Any] = {}  # attributes that a launch gets wrong

    # --- looking and choosing

    def inspect(self, given: ec2.InspectInput) -> ec2.InspectResult:
        if given.instance_id not in self.ec2_state.instances:
            raise failed(Failure.GONE, f"no instance {given.instance_id}")
        return ec2.InspectResult(self.ec2_state.blueprint(given.instance_id), ACCOUNT, ["DescribeInstances"])

    def rank(self, given: ec2.RankInput) -> ec2.RankResult:
        pools = [p for p in self.ec2_state.market if p not in given.avoid]
        pools = [p for p in pools if not given.same_zone or p.startswith(given.same_zone)]
        if given.asked and given.asked not in PRICES:
            raise failed(Failure.REFUSED, f"{given.asked} cannot be used")
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
            raise failed(Failure.NO_CAPACITY, f"no capacity in {given.pool}")
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
            raise failed(Failure.BAD_STATE, f"{given.instance_id} is {one.state}")
        return ec2.ConfirmResult(
            one.state,
            now(),
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
            raise failed(Failure.NOT_YET, f"{given.instance_id} is {one.state}")
        return ec2.ConfirmResult("terminated", now())

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
            raise failed(Failure.NOT_YET, f"a volume is busy on {given.instance_id}")
        return ec2.ActionResult(["DetachVolume", "DescribeVolumes"])

    def attach(self, given: ec2.AttachInput) -> ec2.ActionResult:
        one = self.ec2_state.instances[given.instance_id]
        for volume in self._volumes(given):
            if volume.attached_to == given.instance_id:
                continue
            if volume.attached_to or volume.zone != one.zone or not one.alive:
                raise failed(Failure.BAD_STATE, f"{volume.volume_id} cannot be attached to {given.instance_id}")
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
                raise failed(Failure.BAD_STATE, f"{volume_id} is in use by {volume.attached_to}")
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
            raise failed(Failure.NOT_YET, f"{given.instance_id} is unhealthy")
        return ec2.ActionResult(["DescribeTargetHealth"])

    def deregister(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        self.ec2_state.registered.discard(given.instance_id)
        return ec2.ActionResult(["DeregisterTargets"])

    def confirm_drained(self, given: ec2.TargetsInput) -> ec2.ActionResult:
        return ec2.ActionResult(["DescribeTargetHealth"])

    # --- inside

    def _by_token(self, token: str) -> str | None:
        return next((one.instance_id for one in self.ec2_state.instances.values() if one.token == token), None)

    def _volume(self, volume_id: str) -> Volume:
        if volume_id not in self.ec2_state.volumes:
            raise failed(Failure.GONE, f"no volume {volume_id}")
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


def failed(failure: str, words: str) -> ApplicationError:
    return ApplicationError(words, type=failure, non_retryable=failure in FINAL)


def now() -> datetime:
    """The server's clock, as far as an activity can know it."""
    return activity.info().started_time.astimezone(UTC)


EC2_PLAYED: dict[str, Callable[[FakeEc2, Any], Any]] = {
    ec2.INSPECT: FakeEc2.inspect,
    ec2.SURVEY: FakeEc2.survey,
    ec2.RANK_POOLS: FakeEc2.rank,
    ec2.CHECK_LAUNCH: FakeEc2.check,
    ec2.LAUNCH: FakeEc2.launch,
    ec2.FIND_BY_TOKEN: FakeEc2.find,
    ec2.CONFIRM_RUNNING: FakeEc2.confirm_running,
    ec2.TERMINATE: FakeEc2.terminate,
    ec2.CONFIRM_TERMINATED: FakeEc2.confirm_terminated,
    ec2.VOLUMES_OF: FakeEc2.volumes_of,
    ec2.KEEP_VOLUMES: FakeEc2.keep_volumes,
    ec2.TAG: FakeEc2.tag,
    ec2.MATCH_ATTRIBUTES: FakeEc2.match,
    ec2.DETACH_VOLUMES: FakeEc2.detach,
    ec2.ATTACH_VOLUMES: FakeEc2.attach,
    ec2.CREATE_SNAPSHOTS: FakeEc2.create_snapshots,
    ec2.CONFIRM_SNAPSHOTS: FakeEc2.confirm_ids,
    ec2.CREATE_VOLUMES: FakeEc2.create_volumes,
    ec2.CONFIRM_VOLUMES: FakeEc2.confirm_ids,
    ec2.DELETE_VOLUMES: FakeEc2.delete_volumes,
    ec2.DELETE_SNAPSHOTS: FakeEc2.delete_snapshots,
    ec2.MOVE_ADDRESSES: FakeEc2.move_addresses,
    ec2.REGISTER_TARGETS: FakeEc2.register,
    ec2.CONFIRM_TARGETS: FakeEc2.confirm_targets,
    ec2.DEREGISTER_TARGETS: FakeEc2.deregister,
    ec2.CONFIRM_DRAINED: FakeEc2.confirm_drained,
}
