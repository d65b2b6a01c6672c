"""Machine images: the lab's own, and those made of instances."""

from __future__ import annotations

import time
from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, missing
from lab.ec2.filters import page, select
from lab.ec2.records import ACCOUNT, Image, Instance, Params, api_tags, new_id, tags_for, utc
from lab.ec2.snapshots import take
from lab.ec2.world import World

PATHS = {
    "image-id": "ImageId",
    "name": "Name",
    "architecture": "Architecture",
    "state": "State",
    "owner-id": "OwnerId",
    "root-device-type": "RootDeviceType",
    "root-device-name": "RootDeviceName",
    "is-public": "Public",
    "virtualization-type": "VirtualizationType",
    "source-instance-id": "SourceInstanceId",
    "block-device-mapping.snapshot-id": "BlockDeviceMappings.Ebs.SnapshotId",
}


def api_shape(image: Image) -> dict[str, Any]:
    return {
        "ImageId": image.id,
        "Name": image.name,
        "Description": image.description,
        "Architecture": image.architecture,
        "BlockDeviceMappings": image.mappings,
        "CreationDate": utc(image.created).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "EnaSupport": True,
        "Hypervisor": "xen",
        "ImageType": "machine",
        "OwnerId": ACCOUNT,
        "PlatformDetails": "Linux/UNIX",
        "Public": False,
        "RootDeviceName": image.root_device_name,
        "RootDeviceType": image.root_device_type,
        "SourceInstanceId": image.source_instance_id,
        "SriovNetSupport": "simple",
        "State": image.state,
        "VirtualizationType": "hvm",
        "Tags": api_tags(image.tags),
    }


def register(world: World, name: str, architecture: str, root: str = "ebs") -> Image:
    """One of the lab's own images."""
    mappings: list[dict[str, Any]] = []
    if root == "ebs":
        disk = {"VolumeSize": 8, "VolumeType": "gp3", "DeleteOnTermination": True, "Encrypted": False}
        mappings = [{"DeviceName": "/dev/xvda", "Ebs": disk}]
    image = Image(new_id("ami"), name, architecture, root, mappings=mappings)
    world.images[image.id] = image
    return image


@action("DescribeImages")
def describe_images(world: World, params: Params) -> ActionResponse:
    ids = params.get("ImageIds")
    found = [world.image(i) for i in ids] if ids else list(world.images.values())
    owners = set(params.get("Owners") or ())
    if owners and not owners & {"self", ACCOUNT}:
        found = []
    rows, token = page(select([api_shape(i) for i in found], params.get("Filters"), PATHS), params)
    return {"Images": rows, "NextToken": token}


@action("CreateImage")
def create_image(world: World, params: Params) -> ActionResponse:
    """Snapshots of every volume now; the instance reboots unless NoReboot; ready some time later."""
    instance = world.instance(str(params["InstanceId"]))
    name = params.get("Name")
    if not name:
        raise missing("Name")
    taken = next((i.id for i in world.images.values() if i.name == name), None)
    if taken:
        raise Ec2Error("InvalidAMIName.Duplicate", f"AMI name {name} is already in use by AMI {taken}")
    if instance.state not in ("running", "stopped"):
        raise Ec2Error("IncorrectState", f"Instance '{instance.id}' is '{instance.state}'")
    source = world.images.get(instance.image_id)
    if source is not None and source.root_device_type != "ebs":
        raise Ec2Error("InvalidParameterValue", f"'{instance.id}' has an instance-store root: it cannot be imaged so")
    image = Image(
        id=new_id("ami"),
        name=str(name),
        architecture=instance.architecture,
        description=str(params.get("Description") or ""),
        state="pending",
        mappings=_snapshots(world, instance, params),
        created=time.time(),
        source_instance_id=instance.id,
        tags=tags_for(params, "image"),
    )
    world.images[image.id] = image
    if not params.get("NoReboot") and instance.state == "running":
        world.then(lambda: world.hosts.reboot(instance.id))
    _settle_later(world, image)
    return {"ImageId": image.id}


def _snapshots(world: World, instance: Instance, params: Params) -> list[dict[str, Any]]:
    dropped = {str(m["DeviceName"]) for m in params.get("BlockDeviceMappings") or () if m.get("NoDevice") is not None}
    mappings = []
    for volume in world.volumes_of(instance.id):
        held = volume.attachment
        if held is None or held.device in dropped:
            continue
        snapshot = take(world, volume, f"Created by CreateImage({instance.id})", tags_for(params, "snapshot"))
        ebs = {
            "SnapshotId": snapshot.id,
            "VolumeSize": volume.size,
            "VolumeType": volume.volume_type,
            "DeleteOnTermination": held.delete_on_termination,
            "Encrypted": volume.encrypted,
            "Iops": volume.iops if volume.volume_type != "gp2" else None,
            "Throughput": volume.throughput,
        }
        mappings.append({"DeviceName": held.device, "Ebs": ebs})
    return mappings


def _settle_later(world: World, image: Image) -> None:
    def settle() -> None:
        ids = [m["Ebs"]["SnapshotId"] for m in image.mappings]
        if any(world.snapshots[i].state == "pending" for i in ids if i in world.snapshots):
            world.after(world.profile.snapshot_delta_s, settle)
        elif image.state == "pending":
            image.state = "available"

    world.after(world.profile.snapshot_delta_s, settle)


@action("DeregisterImage")
def deregister_image(world: World, params: Params) -> ActionResponse:
    image = world.image(str(params["ImageId"]))
    del world.images[image.id]
    if params.get("DeleteAssociatedSnapshots"):
        for mapping in image.mappings:
            snapshot = world.snapshots.pop(mapping.get("Ebs", {}).get("SnapshotId", ""), None)
            if snapshot:
                world.then(lambda s=snapshot: world.hosts.delete_snapshot(s.id))  # type: ignore[misc]
    return {"Return": True}
