"""Instances: launch, confirm, terminate, tag."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2 import describe
from activities.ec2.activity import attempt, ec2_activity, poll
from activities.ec2.clients import Cache, Clients
from activities.ec2.describe import tag_list
from activities.ec2.errors import Ec2Failure, code_of, doing, is_missing, not_yet
from activities.ec2.launch_request import run_instances_request
from domain import ec2 as contract
from domain.blueprint import Blueprint
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

# For so many attempts an unknown instance counts as not yet known: one that was launched a moment ago and is
# taken for gone would run on, and nobody would know of it.
_UNKNOWN_ATTEMPTS = 3
_SUBNET_TTL_S = 300.0
# State reasons of an instance that EC2 accepted and then could not start.
_NO_CAPACITY_REASONS = ("InsufficientInstanceCapacity", "SpotInstanceTermination", "SpotInstanceShutdown")


class Instances:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._subnet_publishes: Cache[bool] = Cache(_SUBNET_TTL_S)

    @ec2_activity(contract.LAUNCH)
    def launch(self, given: contract.LaunchInput) -> contract.LaunchResult:
        request = run_instances_request(
            given, public_ip=self._public_ip(given.region, given.blueprint, given.subnet_id)
        )
        what = f"launching a replacement of {given.blueprint.instance_id or 'nothing'} in {given.pool}"
        # What is missing at a launch (image, subnet, group, key) will not appear by itself.
        with doing(what, missing=Failure.REFUSED):
            answer = self._clients.ec2_once(given.region).run_instances(**request)
        made = answer["Instances"][0]
        if describe.state(made) in describe.ENDING:
            raise Ec2Failure(
                Failure.BAD_STATE,
                f"{what}: its token brought back {made.get('InstanceId')}, which is {describe.state(made)}. "
                "Take the token of the next attempt.",
            )
        return contract.LaunchResult(
            instance_id=made.get("InstanceId", ""),
            spot_request_id=made.get("SpotInstanceRequestId", ""),
            state=describe.state(made),
            network_interface_id=describe.primary_interface_id(made),
        )

    @ec2_activity(contract.FIND_BY_TOKEN)
    def find_by_token(self, given: contract.FindByTokenInput) -> contract.FindByTokenResult:
        with doing("searching for what a launch token made"):
            answer = self._clients.ec2(given.region).describe_instances(
                Filters=[{"Name": "client-token", "Values": [given.token]}]
            )
        found = [i for r in answer.get("Reservations", []) for i in r.get("Instances", [])]
        if not found:
            return contract.FindByTokenResult()
        # A token makes one instance. If EC2 lists more, take the one that lives.
        chosen = min(found, key=lambda i: describe.state(i) in describe.ENDING)
        return contract.FindByTokenResult(
            chosen.get("InstanceId", ""), describe.state(chosen), chosen.get("SpotInstanceRequestId", "")
        )

    @ec2_activity(contract.CONFIRM_RUNNING)
    def confirm_running(self, given: contract.InstanceInput) -> contract.ConfirmResult:
        ec2 = self._clients.ec2(given.region)
        found = poll(lambda: _running(ec2, given.instance_id))
        _refuse_impaired(ec2, given.instance_id)
        return _confirmed(found)

    @ec2_activity(contract.TERMINATE)
    def terminate(self, given: contract.TerminateInput) -> contract.ActionResult:
        """The spot request first: a persistent one would launch another instance when this one ends."""
        ec2 = self._clients.ec2(given.region)
        request_id = given.spot_request_id or _spot_request_of(ec2, given.instance_id)
        if request_id:
            _cancel_spot_request(ec2, request_id)
        with doing(f"terminating {given.instance_id}"):
            try:
                _terminate(ec2, given.instance_id)
            except ClientError as error:
                if not is_missing(error):
                    raise
                if attempt() <= _UNKNOWN_ATTEMPTS:
                    raise not_yet(f"terminating {given.instance_id}: EC2 does not know it (yet).") from error
        return contract.ActionResult()

    @ec2_activity(contract.CONFIRM_TERMINATED)
    def confirm_terminated(self, given: contract.InstanceInput) -> contract.ConfirmResult:
        ec2 = self._clients.ec2(given.region)
        return poll(lambda: _terminated(ec2, given.instance_id))

    @ec2_activity(contract.TAG)
    def tag(self, given: contract.TagInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        if given.resource_ids and given.tags:
            with doing(f"{'un' if given.remove else ''}tagging {', '.join(given.resource_ids)}"):
                if given.remove:
                    ec2.delete_tags(Resources=given.resource_ids, Tags=[{"Key": key} for key in given.tags])
                else:
                    ec2.create_tags(Resources=given.resource_ids, Tags=tag_list(given.tags))
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [
            self.launch,
            self.find_by_token,
            self.confirm_running,
            self.terminate,
            self.confirm_terminated,
            self.tag,
        ]

    def _public_ip(self, region: str, old: Blueprint, subnet_id: str) -> bool | None:
        """None when the subnet does by default what the old instance has.

        To lose an automatic public address is an outage, and to gain one is an exposure. With an Elastic IP it does
        not matter: that replaces the automatic one.
        """
        if old.elastic_ips or not subnet_id or not old.instance_id:
            return None
        wanted = bool(old.public_ip)
        return None if wanted == self._publishes(region, subnet_id) else wanted

    def _publishes(self, region: str, subnet_id: str) -> bool:
        def ask() -> bool:
            with doing(f"looking at subnet {subnet_id}", missing=Failure.REFUSED):
                answer = self._clients.ec2(region).describe_subnets(SubnetIds=[subnet_id])
            return any(s.get("MapPublicIpOnLaunch", False) for s in answer.get("Subnets", []))

        return self._subnet_publishes.get((region, subnet_id), ask)


def _running(ec2: EC2Client, instance_id: str) -> InstanceTypeDef:
    found = describe.instance(ec2, instance_id, missing=Failure.NOT_YET)
    state = describe.state(found)
    if state == "running":
        return found
    if state == "pending":
        raise not_yet(f"{instance_id} is still pending.")
    reason = found.get("StateReason", {})
    code, words = reason.get("Code", ""), reason.get("Message", "")
    failure = Failure.NO_CAPACITY if any(r in code for r in _NO_CAPACITY_REASONS) else Failure.BAD_STATE
    raise Ec2Failure(
        failure, f"{instance_id} is {state} and will not run: {code} {words}. Launch with another token, or pool."
    )


def _refuse_impaired(ec2: EC2Client, instance_id: str) -> None:
    """Status checks take minutes to pass: `initializing` is accepted, since the agent's answer is the real check."""
    with doing(f"reading the status checks of {instance_id}", missing=Failure.NOT_YET):
        answer = ec2.describe_instance_status(InstanceIds=[instance_id])
    for status in answer.get("InstanceStatuses", []):
        checks = {"system": status.get("SystemStatus", {}), "instance": status.get("InstanceStatus", {})}
        failed = [name for name, check in checks.items() if check.get("Status") == "impaired"]
        if failed:
            raise Ec2Failure(
                Failure.BAD_STATE,
                f"{instance_id} runs, but its {' and '.join(failed)} status check failed. Replace it.",
            )


def _terminated(ec2: EC2Client, instance_id: str) -> contract.ConfirmResult:
    try:
        found = describe.instance(ec2, instance_id)
    except Ec2Failure as failed:
        if failed.failure is Failure.GONE:
            return contract.ConfirmResult("terminated", datetime.now(UTC))
        raise
    state = describe.state(found)
    if state != "terminated":
        raise not_yet(f"{instance_id} is still {state}.")
    return _confirmed(found)


def _confirmed(found: InstanceTypeDef) -> contract.ConfirmResult:
    return contract.ConfirmResult(
        state=describe.state(found),
        at=datetime.now(UTC),
        zone=found.get("Placement", {}).get("AvailabilityZone", ""),
        subnet_id=found.get("SubnetId", ""),
        private_ip=found.get("PrivateIpAddress", ""),
        spot_request_id=found.get("SpotInstanceRequestId", ""),
        network_interface_id=describe.primary_interface_id(found),
        volume_ids=describe.attached_volume_ids(found),
    )


def _spot_request_of(ec2: EC2Client, instance_id: str) -> str:
    try:
        return describe.instance(ec2, instance_id).get("SpotInstanceRequestId", "")
    except Ec2Failure as failed:
        if failed.failure is Failure.GONE:
            return ""
        raise


def _cancel_spot_request(ec2: EC2Client, request_id: str) -> None:
    with doing(f"cancelling spot request {request_id}"):
        try:
            ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        except ClientError as error:
            if not is_missing(error):  # closed long ago: EC2 has forgotten it
                raise


def _terminate(ec2: EC2Client, instance_id: str) -> None:
    """Protection is rare, so it is switched off only when EC2 says that it is on."""
    try:
        ec2.terminate_instances(InstanceIds=[instance_id])
    except ClientError as error:
        if code_of(error) != "OperationNotPermitted":
            raise
        ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})
        # Stop protection guards against termination too (EC2 user guide, "Enable stop protection").
        ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": False})
        ec2.terminate_instances(InstanceIds=[instance_id])
