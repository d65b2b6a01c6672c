"""Describes that several activities share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from activities.ec2.errors import Ec2Failure, doing
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef, VolumeTypeDef

ENDING = frozenset({"shutting-down", "terminated"})


def instance(ec2: EC2Client, instance_id: str, *, missing: Failure = Failure.GONE) -> InstanceTypeDef:
    """The instance as EC2 describes it, in whatever state; `missing` when EC2 knows none."""
    with doing(f"looking at instance {instance_id}", missing=missing):
        answer = ec2.describe_instances(InstanceIds=[instance_id])
    found = [i for r in answer.get("Reservations", []) for i in r.get("Instances", [])]
    if not found:
        raise Ec2Failure(missing, f"EC2 knows no instance {instance_id}. Check its ID and region.")
    return found[0]


def state(found: InstanceTypeDef) -> str:
    return str(found.get("State", {}).get("Name", ""))


def volumes(ec2: EC2Client, volume_ids: list[str], *, missing: Failure = Failure.GONE) -> dict[str, VolumeTypeDef]:
    """Every one of them, by ID."""
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
