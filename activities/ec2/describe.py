"""What several activities read from EC2's answers: instances, volumes, tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from activities.ec2.errors import Ec2Failure, doing
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, TagSpecificationTypeDef, TagTypeDef, VolumeTypeDef

ENDING = frozenset({"shutting-down", "terminated"})
OWN_PREFIX = "spot-optimizer:"
AWS_PREFIX = "aws:"  # reserved: nobody can set them, so they cannot be carried over
TAG_TOKEN = "spot-optimizer:token"  # noqa: S105  on snapshots, whose creation has no ClientToken
TAG_PROTECT = "spot-optimizer:protect"  # on spot instances: the protections to restore on on-demand


def instance(ec2: EC2Client, instance_id: str, *, missing: Failure = Failure.GONE) -> InstanceTypeDef:
    """The instance as EC2 describes it, in whatever state. Raises `missing` when EC2 knows none."""
    with doing(f"looking at instance {instance_id}", missing=missing):
        answer = ec2.describe_instances(InstanceIds=[instance_id])
    found = [i for r in answer.get("Reservations", []) for i in r.get("Instances", [])]
    if not found:
        raise Ec2Failure(missing, f"EC2 knows no instance {instance_id}. Check its ID and region.")
    return found[0]


def state(found: InstanceTypeDef) -> str:
    return str(found.get("State", {}).get("Name", ""))


def volumes(ec2: EC2Client, volume_ids: list[str], *, missing: Failure = Failure.GONE) -> dict[str, VolumeTypeDef]:
    """By ID. Raises `missing` when EC2 does not know one."""
    if not volume_ids:
        return {}
    with doing(f"looking at volumes {', '.join(volume_ids)}", missing=missing):
        answer = ec2.describe_volumes(VolumeIds=volume_ids)
    found = {v.get("VolumeId", ""): v for v in answer.get("Volumes", [])}
    for volume_id in volume_ids:
        if volume_id not in found:
            raise Ec2Failure(missing, f"EC2 knows no volume {volume_id}.")
    return found


def attached_volume_ids(found: InstanceTypeDef) -> list[str]:
    """Root first."""
    root = found.get("RootDeviceName", "")
    mappings = sorted(found.get("BlockDeviceMappings", []), key=lambda m: m.get("DeviceName", "") != root)
    return [m["Ebs"].get("VolumeId", "") for m in mappings if "Ebs" in m]


def primary_interface_id(found: InstanceTypeDef) -> str:
    for interface in found.get("NetworkInterfaces", []):
        if interface.get("Attachment", {}).get("DeviceIndex", 0) == 0:
            return str(interface.get("NetworkInterfaceId", ""))
    return ""


def tag_dict(tags: Iterable[TagTypeDef] | None) -> dict[str, str]:
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags or ()}


def tag_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def customer_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The owner's own tags, which a replacement must have too."""
    return {k: v for k, v in tags.items() if not k.startswith((OWN_PREFIX, AWS_PREFIX))}


def ownership_tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in tags.items() if k.startswith(OWN_PREFIX)}


def tag_specification(resource: ResourceTypeType, tags: Mapping[str, str]) -> list[TagSpecificationTypeDef]:
    """TagSpecifications for one kind of resource; empty when there is nothing to say."""
    return [{"ResourceType": resource, "Tags": tag_list(tags)}] if tags else []
