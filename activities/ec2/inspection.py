"""An instance as it is now: every attribute that a replacement must have, and what must move.

There are four round trips, each with all calls that it can make at once: the instance with its attributes, volumes,
addresses and our account; then what its answer names (image, spot request, credits, target groups); then the health of
every target group of its VPC, to see where it is registered; then its state once more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2 import describe
from activities.ec2.activity import ec2_activity, parallel, together
from activities.ec2.blueprints import InstanceAnswers, blueprint_of
from activities.ec2.clients import Cache, Clients
from activities.ec2.errors import Ec2Failure, code_of, doing, is_missing
from activities.ec2.launch_request import is_burstable
from domain import ec2 as contract
from domain.blueprint import Target
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import InstanceAttributeNameType
    from mypy_boto3_ec2.type_defs import AddressTypeDef, ImageTypeDef, InstanceTypeDef, VolumeTypeDef
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client

_ACCOUNT_TTL_S = 24 * 3600.0
# What DescribeInstances leaves out.
_ATTRIBUTES: tuple[tuple[InstanceAttributeNameType, str], ...] = (
    ("userData", "UserData"),
    ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"),
    ("disableApiTermination", "DisableApiTermination"),
    ("disableApiStop", "DisableApiStop"),
    ("sriovNetSupport", "SriovNetSupport"),
)
# EC2's answers for an instance type that does not have the attribute: then the default counts.
_NO_SUCH_ATTRIBUTE = frozenset({"InvalidParameterCombination", "UnsupportedOperation", "Unsupported"})


class Inspection:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._account: Cache[str] = Cache(_ACCOUNT_TTL_S)

    @ec2_activity(contract.INSPECT)
    def inspect(self, given: contract.InspectInput) -> contract.InspectResult:
        return self.look(given)

    def look(self, given: contract.InspectInput) -> contract.InspectResult:
        ec2, elb, instance_id = self._clients.ec2(given.region), self._clients.elbv2(given.region), given.instance_id
        found, account, volumes, addresses, *attributes = together(
            lambda: _living(ec2, instance_id),
            lambda: self._account_id(given.region),
            lambda: _volumes(ec2, instance_id),
            lambda: _addresses(ec2, instance_id),
            *(functools.partial(_attribute, ec2, instance_id, name, key) for name, key in _ATTRIBUTES),
        )
        image, persistent, cpu_credits, targets = together(
            lambda: _image(ec2, found.get("ImageId", "")),
            lambda: _is_persistent(ec2, found.get("SpotInstanceRequestId", "")),
            lambda: _credits(ec2, found),
            lambda: _targets(elb, found),
        )
        # One that ended while it was looked at has lost its addresses and targets by halves: what was read of it may
        # not stand for what it had.
        found["State"] = _living(ec2, instance_id)["State"]
        values: Mapping[str, Any] = {key: value for (_, key), value in zip(_ATTRIBUTES, attributes, strict=True)}
        findings = InstanceAnswers(
            region=given.region,
            instance=found,
            account_id=account,
            attributes=values,
            volumes=volumes,
            addresses=addresses,
            image=image,
            persistent=persistent,
            cpu_credits=cpu_credits,
            targets=targets,
        )
        return contract.InspectResult(blueprint_of(findings), account)

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.inspect]

    def _account_id(self, region: str) -> str:
        def ask() -> str:
            with doing("asking whose credentials these are"):
                return self._clients.sts(region).get_caller_identity()["Account"]

        return self._account.get(region, ask)


def _living(ec2: EC2Client, instance_id: str) -> InstanceTypeDef:
    """EC2 still lists a terminated instance for an hour, but nothing of it can be carried over."""
    found = describe.instance(ec2, instance_id)
    if describe.state(found) == "terminated":
        raise Ec2Failure(Failure.GONE, f"{instance_id} is terminated. Name a running instance.")
    return found


def _attribute(ec2: EC2Client, instance_id: str, name: InstanceAttributeNameType, key: str) -> Any:
    """The attribute's value; None where EC2 says that this kind of instance has none."""
    with doing(f"reading {name} of {instance_id}"):
        try:
            answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute=name)
        except ClientError as error:
            if code_of(error) in _NO_SUCH_ATTRIBUTE:
                return None
            raise
    value: Any = answer.get(key)
    return value.get("Value") if isinstance(value, dict) else value


def _volumes(ec2: EC2Client, instance_id: str) -> list[VolumeTypeDef]:
    with doing(f"looking at the volumes of {instance_id}"):
        answer = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance_id]}])
    return answer.get("Volumes", [])


def _addresses(ec2: EC2Client, instance_id: str) -> list[AddressTypeDef]:
    with doing(f"looking at the Elastic IPs of {instance_id}"):
        answer = ec2.describe_addresses(Filters=[{"Name": "instance-id", "Values": [instance_id]}])
    return answer.get("Addresses", [])


def _image(ec2: EC2Client, image_id: str) -> ImageTypeDef | None:
    """None for an image that was deregistered: CHECK_LAUNCH finds that no replacement can be launched of it."""
    with doing(f"looking at image {image_id}"):
        try:
            images = ec2.describe_images(ImageIds=[image_id]).get("Images", [])
        except ClientError as error:
            if is_missing(error) or code_of(error) == "InvalidAMIID.Unavailable":
                return None
            raise
    return images[0] if images else None


def _is_persistent(ec2: EC2Client, request_id: str) -> bool:
    if not request_id:
        return False
    with doing(f"looking at spot request {request_id}"):
        try:
            answer = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[request_id])
        except ClientError as error:
            if is_missing(error):  # EC2 forgets closed requests after some days
                return False
            raise
    return any(r.get("Type") == "persistent" for r in answer.get("SpotInstanceRequests", []))


def _credits(ec2: EC2Client, found: InstanceTypeDef) -> str:
    """Burstable types alone: EC2 refuses the question for others."""
    if not is_burstable(found.get("InstanceType", "")):
        return ""
    instance_id = found.get("InstanceId", "")
    with doing(f"reading the credit specification of {instance_id}"):
        answer = ec2.describe_instance_credit_specifications(InstanceIds=[instance_id])
    return next((c.get("CpuCredits", "") for c in answer.get("InstanceCreditSpecifications", [])), "")


def _targets(elb: ElasticLoadBalancingv2Client, found: InstanceTypeDef) -> list[Target]:
    """Only the target groups know who is registered: each one of the VPC is asked."""
    names = {found.get("InstanceId", "")} | {
        address.get("PrivateIpAddress", "")
        for interface in found.get("NetworkInterfaces", [])
        for address in interface.get("PrivateIpAddresses", [])
    }
    groups: list[tuple[str, bool]] = []
    with doing("listing target groups"):
        for page in elb.get_paginator("describe_target_groups").paginate():
            groups += [
                (g.get("TargetGroupArn", ""), g.get("TargetType") == "ip")
                for g in page.get("TargetGroups", [])
                if g.get("VpcId") == found.get("VpcId") and g.get("TargetType", "instance") in ("instance", "ip")
            ]
    registered = parallel([functools.partial(_registered, elb, group, by_ip, names) for group, by_ip in groups])
    return [target for targets in registered for target in targets]


def _registered(elb: ElasticLoadBalancingv2Client, group: str, by_ip: bool, names: set[str]) -> list[Target]:
    """Our instance's registrations, without those that are draining."""
    with doing(f"reading the targets of {group}"):
        answer = elb.describe_target_health(TargetGroupArn=group)
    return [
        Target(group, d["Target"]["Id"], d["Target"].get("Port", 0), by_ip)
        for d in answer.get("TargetHealthDescriptions", [])
        if "Target" in d and d["Target"]["Id"] in names and d.get("TargetHealth", {}).get("State") != "draining"
    ]
