"""Volumes of an instance: those it is launched with, their release at its end, and attach and detach."""

from __future__ import annotations

import logging
import time
from typing import Any

from lab.contracts import DeviceBusy
from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, incorrect_state, invalid_value
from lab.ec2.records import Image, Instance, Params, Volume, VolumeAttachment, new_id, tags_for, utc
from lab.ec2.world import World

log = logging.getLogger("lab.storage")
BUSY_RETRY_S = 0.2  # how often a detach asks whether the host has unmounted
IOPS_TYPES = frozenset({"io1", "io2", "gp3"})
VOLUME_TYPES = IOPS_TYPES | {"gp2", "st1", "sc1", "standard"}


def mappings_of(params: Params, image: Image) -> list[dict[str, Any]]:
    """The image's mappings, overridden by the launch's: the same device replaces, NoDevice removes."""
    merged = {str(m["DeviceName"]): dict(m) for m in image.mappings}
    for asked in params.get("BlockDeviceMappings") or ():
        device = str(asked.get("DeviceName") or "")
        if not device:
            raise Ec2Error("MissingParameter", "A block device mapping lacks its device name")
        if asked.get("NoDevice") is not None:
            merged.pop(device, None)
            continue
        base = merged.get(device, {})
        merged[device] = {**base, **asked, "Ebs": {**base.get("Ebs", {}), **asked.get("Ebs", {})}}
    return list(merged.values())


def check_launch(world: World, params: Params, image: Image) -> None:
    for mapping in mappings_of(params, image):
        if mapping.get("VirtualName"):
            continue
        check_kind(mapping["Ebs"])
        snapshot = mapping["Ebs"].get("SnapshotId")
        if snapshot and world.snapshot(str(snapshot)).state != "completed":
            raise Ec2Error("IncorrectState", f"The snapshot '{snapshot}' is not completed")
        if not snapshot and not mapping["Ebs"].get("VolumeSize"):
            raise Ec2Error("MissingParameter", "The request must contain the parameter size or snapshotId")


def check_kind(asked: Params) -> None:
    kind = asked.get("VolumeType") or "gp2"
    if kind not in VOLUME_TYPES:
        raise invalid_value(f"Invalid value '{kind}' for volumeType.")
    if asked.get("Iops") and kind not in IOPS_TYPES:
        raise Ec2Error("InvalidParameterCombination", f"The parameter iops is not supported for {kind} volumes.")
    if not asked.get("Iops") and kind in ("io1", "io2"):
        raise Ec2Error("MissingParameter", "The request must contain the parameter iops")
    if asked.get("Throughput") and kind != "gp3":
        raise Ec2Error("InvalidParameterCombination", f"The parameter throughput is not supported for {kind} volumes.")


def at_launch(world: World, instance: Instance, image: Image) -> None:
    for mapping in mappings_of(instance.params, image):
        if mapping.get("VirtualName"):
            continue  # instance store: it ends with the instance, and is no volume
        device, ebs = str(mapping["DeviceName"]), mapping["Ebs"]
        volume = new_volume(world, ebs, instance.zone, tags_for(instance.params, "volume"))
        volume.root = device == image.root_device_name
        keep = ebs.get("DeleteOnTermination")
        volume.attachment = VolumeAttachment(instance.id, device, "attaching", True if keep is None else bool(keep))


def new_volume(world: World, asked: Params, zone: str, tags: dict[str, str]) -> Volume:
    snapshot = world.snapshot(str(asked["SnapshotId"])) if asked.get("SnapshotId") else None
    kind = str(asked.get("VolumeType") or "gp2")
    volume = Volume(
        id=new_id("vol"),
        zone=zone,
        size=int(asked.get("VolumeSize") or asked.get("Size") or (snapshot.size if snapshot else 8)),
        volume_type=kind,
        iops=int(asked["Iops"]) if asked.get("Iops") else {"gp3": 3000, "gp2": 100}.get(kind),
        throughput=int(asked["Throughput"]) if asked.get("Throughput") else (125 if kind == "gp3" else None),
        encrypted=bool(asked.get("Encrypted")) or bool(snapshot and snapshot.encrypted),
        kms_key_id=asked.get("KmsKeyId") or (snapshot.kms_key_id if snapshot else None),
        snapshot_id=snapshot.id if snapshot else None,
        tags=tags,
    )
    if volume.encrypted and not volume.kms_key_id:
        volume.kms_key_id = f"arn:aws:kms:{world.region}:123456789012:alias/aws/ebs"
    world.volumes[volume.id] = volume
    return volume


def create_launch_volumes(world: World, instance: Instance) -> None:
    """Give the volumes of a launch their directories. After a stop they have them already."""
    for volume in world.volumes_of(instance.id):
        if volume.state == "creating":
            volume.state = "in-use"
            world.then(lambda v=volume: create_on_hosts(world, v))  # type: ignore[misc]


def create_on_hosts(world: World, volume: Volume) -> None:
    """Runs outside the lock, since it may copy a snapshot. The volume may be deleted meanwhile."""
    snapshot = world.snapshots.get(volume.snapshot_id or "")
    world.hosts.create_volume(volume.id, snapshot.id if snapshot else None)
    if volume.id not in world.volumes:
        world.hosts.delete_volume(volume.id)


def plug_in(world: World, instance: Instance) -> None:
    for volume in world.volumes_of(instance.id):
        if volume.attachment and volume.attachment.state == "attaching":
            volume.attachment.state = "attached"
            world.hosts.plug(volume.id, instance.id, volume.attachment.device)


def release_all(world: World, instance: Instance) -> None:
    """The instance has ended: its volumes are available again, or deleted with it."""
    for volume in world.volumes_of(instance.id):
        world.hosts.unplug(volume.id, force=True)
        doomed = volume.attachment is not None and volume.attachment.delete_on_termination
        volume.attachment, volume.state = None, "available"
        if doomed:
            delete(world, volume)


def delete(world: World, volume: Volume) -> None:
    world.volumes.pop(volume.id, None)
    world.then(lambda: world.hosts.delete_volume(volume.id))


def check_root(world: World, instance: Instance) -> None:
    """Refuse to start an instance without its root volume."""
    if not any(v.root for v in world.volumes_of(instance.id)):
        raise Ec2Error(
            "InvalidInstanceID.NotStartable", f"Invalid value '{instance.id}' for instanceId. No root volume attached"
        )


def api_attachment(volume: Volume) -> dict[str, Any] | None:
    held = volume.attachment
    if held is None:
        return None
    return {
        "AttachTime": utc(held.at),
        "Device": held.device,
        "InstanceId": held.instance_id,
        "State": held.state,
        "VolumeId": volume.id,
        "DeleteOnTermination": held.delete_on_termination,
    }


@action("AttachVolume")
def attach_volume(world: World, params: Params) -> ActionResponse:
    """Only an available volume, in its own zone, to a running or stopped instance, at a free device."""
    volume, instance = world.volume(str(params["VolumeId"])), world.instance(str(params["InstanceId"]))
    device = str(params.get("Device") or "")
    if not device:
        raise Ec2Error("MissingParameter", "The request must contain the parameter device")
    _check_attach(world, volume, instance, device)
    volume.state = "in-use"
    volume.root = device == _root_device(world, instance)
    held = volume.attachment = VolumeAttachment(instance.id, device, "attaching", False)
    world.after(world.profile.attach_s, lambda: _attached(world, volume, held))
    return api_attachment(volume) or {}


def _root_device(world: World, instance: Instance) -> str:
    image = world.images.get(instance.image_id)
    return image.root_device_name if image else "/dev/xvda"


def _check_attach(world: World, volume: Volume, instance: Instance, device: str) -> None:
    if volume.zone != instance.zone:
        raise Ec2Error(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.id}' is not in the same availability zone as instance '{instance.id}'",
        )
    if volume.attachment is not None:
        raise Ec2Error(
            "VolumeInUse", f"{volume.id} is already attached to an instance ({volume.attachment.instance_id})"
        )
    if volume.state != "available":
        raise Ec2Error("IncorrectState", f"The volume '{volume.id}' is not 'available' but '{volume.state}'")
    if instance.state not in ("running", "stopped"):
        raise Ec2Error("IncorrectState", f"Instance '{instance.id}' is not 'running' but '{instance.state}'")
    if any(v.attachment and v.attachment.device == device for v in world.volumes_of(instance.id)):
        raise invalid_value(f"Invalid value '{device}' for unixDevice. Attachment point {device} is already in use")


def _attached(world: World, volume: Volume, held: VolumeAttachment) -> None:
    if volume.attachment is held and held.state == "attaching":
        held.state, held.at = "attached", time.time()
        world.hosts.plug(volume.id, held.instance_id, held.device)


@action("DetachVolume")
def detach_volume(world: World, params: Params) -> ActionResponse:
    """Stays `detaching` while the host has it mounted, until it unmounts, ends, or force is used."""
    volume = world.volume(str(params["VolumeId"]))
    held = volume.attachment
    if held is None:
        raise Ec2Error("IncorrectState", f"Volume '{volume.id}' is in the 'available' state.")
    asked = params.get("InstanceId")
    if (asked and asked != held.instance_id) or (params.get("Device") and params["Device"] != held.device):
        raise Ec2Error("InvalidAttachment.NotFound", f"The volume '{volume.id}' is not attached there")
    instance = world.instance(held.instance_id)
    if volume.root and instance.state != "stopped":
        raise Ec2Error(
            "OperationNotPermitted", f"Unable to detach root volume '{volume.id}' from instance '{instance.id}'"
        )
    if held.state == "attaching":
        raise Ec2Error("IncorrectState", f"Volume '{volume.id}' is still attaching")
    if instance.state in ("pending", "shutting-down"):
        raise incorrect_state(instance.id)
    held.state = "detaching"
    force = bool(params.get("Force"))
    world.after(world.profile.detach_s, lambda: _detach(world, volume, held, force))
    return api_attachment(volume) or {}


def _detach(world: World, volume: Volume, held: VolumeAttachment, force: bool) -> None:
    if volume.attachment is not held:
        return
    try:
        world.hosts.unplug(volume.id, force)
    except DeviceBusy:
        log.info("volume %s is busy on %s", volume.id, held.instance_id, extra={"volume_id": volume.id})
        world.after(BUSY_RETRY_S, lambda: _detach(world, volume, held, force))
        return
    volume.attachment, volume.state = None, "available"
    volume.root = False
