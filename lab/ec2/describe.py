"""DescribeInstances and DescribeInstanceStatus: how the API shows an instance."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from lab.ec2 import interfaces
from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error
from lab.ec2.filters import page, select
from lab.ec2.records import ACCOUNT, STATE_CODES, Instance, Params, api_tags, utc
from lab.ec2.world import AttachmentIndex, World, type_facts

_FEW = 5  # instances, whose volumes and interfaces are looked for one by one

PATHS = {
    "instance-id": "InstanceId",
    "client-token": "ClientToken",
    "instance-state-name": "State.Name",
    "instance-state-code": "State.Code",
    "instance-type": "InstanceType",
    "instance-lifecycle": "InstanceLifecycle",
    "image-id": "ImageId",
    "architecture": "Architecture",
    "availability-zone": "Placement.AvailabilityZone",
    "key-name": "KeyName",
    "private-ip-address": "PrivateIpAddress",
    "ip-address": "PublicIpAddress",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
    "spot-instance-request-id": "SpotInstanceRequestId",
    "block-device-mapping.volume-id": "BlockDeviceMappings.Ebs.VolumeId",
    "block-device-mapping.device-name": "BlockDeviceMappings.DeviceName",
    "network-interface.network-interface-id": "NetworkInterfaces.NetworkInterfaceId",
    "network-interface.addresses.private-ip-address": "NetworkInterfaces.PrivateIpAddresses.PrivateIpAddress",
    "instance.group-id": "SecurityGroups.GroupId",
    "instance.group-name": "SecurityGroups.GroupName",
    "group-id": "SecurityGroups.GroupId",
    "iam-instance-profile.arn": "IamInstanceProfile.Arn",
    "root-device-name": "RootDeviceName",
    "root-device-type": "RootDeviceType",
    "tenancy": "Placement.Tenancy",
    "launch-time": "LaunchTime",
    "reservation-id": "ReservationId",
    "owner-id": "OwnerId",
}


def api_shape(world: World, instance: Instance, attached: AttachmentIndex | None = None) -> dict[str, Any]:
    """As the API shows it; what DescribeInstances leaves out on EC2 is left out here."""
    held = attached or world
    params, image = instance.params, world.images.get(instance.image_id)
    facts = type_facts(instance.instance_type)
    attributes = instance.attributes
    found: dict[str, Any] = {
        "InstanceId": instance.id,
        "AmiLaunchIndex": instance.index,
        "ImageId": instance.image_id,
        "ClientToken": instance.token,
        "State": {"Code": STATE_CODES[instance.state], "Name": instance.state},
        "StateTransitionReason": instance.transition_reason,
        "InstanceType": instance.instance_type,
        "InstanceLifecycle": "spot" if instance.lifecycle == "spot" else None,
        "SpotInstanceRequestId": instance.spot_request_id,
        "Architecture": instance.architecture,
        "LaunchTime": utc(instance.launched),
        "KeyName": params.get("KeyName"),
        "Placement": _placement(instance),
        "Monitoring": {"State": "enabled" if attributes.get("monitoring") else "disabled"},
        "EbsOptimized": bool(attributes.get("ebsOptimized")),
        "EnaSupport": bool(attributes.get("enaSupport", True)),
        "Hypervisor": facts.get("Hypervisor") or "xen",
        "VirtualizationType": "hvm",
        "RootDeviceName": image.root_device_name if image else "/dev/xvda",
        "RootDeviceType": image.root_device_type if image else "ebs",
        "BlockDeviceMappings": _mappings(held, instance),
        "IamInstanceProfile": _profile(params.get("IamInstanceProfile")),
        "MetadataOptions": instance.metadata_options,
        "HibernationOptions": {"Configured": bool((params.get("HibernationOptions") or {}).get("Configured"))},
        "EnclaveOptions": {"Enabled": bool((params.get("EnclaveOptions") or {}).get("Enabled"))},
        "MaintenanceOptions": params.get("MaintenanceOptions") or {"AutoRecovery": "default"},
        "PrivateDnsNameOptions": params.get("PrivateDnsNameOptions") or _DNS_OPTIONS,
        "CpuOptions": _cpu(params, facts),
        "CapacityReservationSpecification": params.get("CapacityReservationSpecification")
        or {"CapacityReservationPreference": "open"},
        "CurrentInstanceBootMode": "legacy-bios" if instance.architecture == "x86_64" else "uefi",
        "PlatformDetails": "Linux/UNIX",
        "UsageOperation": "RunInstances",
        "UsageOperationUpdateTime": utc(instance.launched),
        "Tags": api_tags(instance.tags),
        "ReservationId": instance.reservation_id,
        "OwnerId": ACCOUNT,
        "StateReason": None,
    }
    if instance.state_reason:
        found["StateReason"] = {"Code": instance.state_reason[0], "Message": instance.state_reason[1]}
    found.update(_network(world, held, instance))
    return found


_DNS_OPTIONS = {
    "HostnameType": "ip-name",
    "EnableResourceNameDnsARecord": False,
    "EnableResourceNameDnsAAAARecord": False,
}


def _placement(instance: Instance) -> dict[str, Any]:
    asked = dict(instance.params.get("Placement") or {})
    return {"GroupName": "", "Tenancy": "default", **asked, "AvailabilityZone": instance.zone}


def _profile(asked: Any) -> dict[str, str] | None:
    if not asked:
        return None
    arn = asked.get("Arn") or f"arn:aws:iam::{ACCOUNT}:instance-profile/{asked.get('Name')}"
    return {"Arn": arn, "Id": "AIPA" + arn.rsplit("/", 1)[-1].upper()[:16].ljust(16, "X")}


def _cpu(params: Params, facts: dict[str, Any]) -> dict[str, Any]:
    info = facts["VCpuInfo"]
    default = {"CoreCount": info.get("DefaultCores"), "ThreadsPerCore": info.get("DefaultThreadsPerCore")}
    return {**default, **(params.get("CpuOptions") or {})}


def _mappings(attached: AttachmentIndex | World, instance: Instance) -> list[dict[str, Any]]:
    rows = []
    for volume in attached.volumes_of(instance.id):
        held = volume.attachment
        if held is not None and instance.state != "terminated":
            ebs = {
                "VolumeId": volume.id,
                "Status": held.state,
                "DeleteOnTermination": held.delete_on_termination,
                "AttachTime": utc(held.at),
            }
            rows.append({"DeviceName": held.device, "Ebs": ebs})
    return sorted(rows, key=lambda row: str(row["DeviceName"]))


def _network(world: World, attached: AttachmentIndex | World, instance: Instance) -> dict[str, Any]:
    """Network fields; an ended instance has none."""
    found = attached.interfaces_of(instance.id)
    groups = [{"GroupId": g, "GroupName": world.group_name(g)} for g in instance.groups]
    if not found:
        return {"NetworkInterfaces": [], "SecurityGroups": groups, "PrivateDnsName": "", "PublicDnsName": ""}
    rows = [interfaces.api_shape(world, interface) for interface in found]
    primary = rows[0]
    association = primary.get("Association") or {}
    dashed = str(primary["PrivateIpAddress"]).replace(".", "-")
    domain = "ec2.internal" if world.region == "us-east-1" else f"{world.region}.compute.internal"
    return {
        "NetworkInterfaces": rows,
        "SecurityGroups": primary["Groups"],
        "PrivateIpAddress": primary["PrivateIpAddress"],
        "PrivateDnsName": f"ip-{dashed}.{domain}",
        "PublicIpAddress": association.get("PublicIp"),
        "PublicDnsName": "",
        "SubnetId": instance.subnet_id,
        "VpcId": world.vpc_id,
        "SourceDestCheck": primary["SourceDestCheck"],
    }


def reservations(world: World, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    grouped: dict[str, dict[str, Any]] = {}
    for row in rows:
        one = grouped.setdefault(
            row["ReservationId"],
            {"ReservationId": row["ReservationId"], "OwnerId": ACCOUNT, "Groups": [], "Instances": []},
        )
        one["Instances"].append(row)
    return list(grouped.values())


def api_reservation(world: World, instances: list[Instance]) -> dict[str, Any]:
    return reservations(world, [api_shape(world, i) for i in instances])[0]


def visible(world: World, instance_id: str) -> Instance:
    """The instance, unless it is so new that describe calls do not know it yet."""
    instance = world.instance(instance_id)
    if time.time() < instance.visible_at:
        raise Ec2Error("InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist")
    return instance


@action("DescribeInstances")
def describe_instances(world: World, params: Params) -> ActionResponse:
    ids = params.get("InstanceIds")
    if ids and params.get("MaxResults"):
        raise Ec2Error(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )
    now = time.time()
    found = [visible(world, i) for i in ids] if ids else [i for i in world.instances.values() if i.visible_at <= now]
    found, left = _narrowed(found, params)
    attached = world.attachment_index() if len(found) > _FEW else None
    if left:
        rows, token = page(select([api_shape(world, i, attached) for i in found], left, PATHS), params)
    else:
        of_page, token = page(found, params)
        rows = [api_shape(world, i, attached) for i in of_page]
    return {"Reservations": reservations(world, rows), "NextToken": token}


def _narrowed(found: list[Instance], params: Params) -> tuple[list[Instance], list[Mapping[str, Any]]]:
    """Apply cheap filters first, so that a large fleet is not described as a whole. The other filters are left."""
    left: list[Mapping[str, Any]] = []
    for one in params.get("Filters") or ():
        name, values = str(one.get("Name")), {str(v) for v in one.get("Values") or ()}
        if any("*" in v or "?" in v for v in values):
            left.append(one)
        elif name == "instance-state-name":
            found = [i for i in found if i.state in values]
        elif name == "instance-id":
            found = [i for i in found if i.id in values]
        elif name == "client-token":
            found = [i for i in found if i.token in values]
        elif name == "tag-key":
            found = [i for i in found if not values.isdisjoint(i.tags)]
        elif name.startswith("tag:"):
            found = [i for i in found if i.tags.get(name[4:]) in values]
        else:
            left.append(one)
    return found, left


STATUS_PATHS = {
    "instance-state-name": "InstanceState.Name",
    "instance-state-code": "InstanceState.Code",
    "availability-zone": "AvailabilityZone",
    "instance-status.status": "InstanceStatus.Status",
    "system-status.status": "SystemStatus.Status",
}


@action("DescribeInstanceStatus")
def describe_instance_status(world: World, params: Params) -> ActionResponse:
    """Running instances alone, unless IncludeAllInstances. Checks pass once the host has booted."""
    ids, now = params.get("InstanceIds"), time.time()
    found = (
        [visible(world, i) for i in ids]
        if ids
        else [i for i in world.instances.values() if i.visible_at <= now and i.state != "terminated"]
    )
    if not params.get("IncludeAllInstances"):
        found = [i for i in found if i.state == "running"]
    rows = select([_status(i, now) for i in found], params.get("Filters"), STATUS_PATHS)
    paged, token = page(rows, params)
    return {"InstanceStatuses": paged, "NextToken": token}


def _status(instance: Instance, now: float) -> dict[str, Any]:
    if instance.state != "running" or instance.ok_at is None:
        word, detail = "not-applicable", None
    elif instance.impaired:
        word, detail = "impaired", "failed"
    elif now >= instance.ok_at:
        word, detail = "ok", "passed"
    else:
        word, detail = "initializing", "initializing"
    status: dict[str, Any] = {"Status": word}
    if detail:
        status["Details"] = [{"Name": "reachability", "Status": detail}]
    return {
        "InstanceId": instance.id,
        "AvailabilityZone": instance.zone,
        "InstanceState": {"Code": STATE_CODES[instance.state], "Name": instance.state},
        "InstanceStatus": status,
        "SystemStatus": status,
    }
