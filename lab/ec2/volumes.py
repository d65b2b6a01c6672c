"""Volumes by themselves: create, describe, change, delete."""

from __future__ import annotations

from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.client_tokens import fingerprint, result_of_token
from lab.ec2.errors import Ec2Error, invalid_value, missing
from lab.ec2.filters import page, select
from lab.ec2.records import Params, Volume, api_tags, tags_for, utc
from lab.ec2.volume_attachments import api_attachment, check_kind, create_on_hosts, delete, new_volume
from lab.ec2.world import World

PATHS = {
    "volume-id": "VolumeId",
    "attachment.instance-id": "Attachments.InstanceId",
    "attachment.device": "Attachments.Device",
    "attachment.status": "Attachments.State",
    "attachment.delete-on-termination": "Attachments.DeleteOnTermination",
    "availability-zone": "AvailabilityZone",
    "encrypted": "Encrypted",
    "size": "Size",
    "snapshot-id": "SnapshotId",
    "status": "State",
    "volume-type": "VolumeType",
}


def api_shape(volume: Volume) -> dict[str, Any]:
    held = api_attachment(volume)
    return {
        "VolumeId": volume.id,
        "AvailabilityZone": volume.zone,
        "Attachments": [held] if held and volume.state == "in-use" else [],
        "CreateTime": utc(volume.created),
        "Encrypted": volume.encrypted,
        "KmsKeyId": volume.kms_key_id,
        "Iops": volume.iops,
        "Throughput": volume.throughput,
        "MultiAttachEnabled": False,
        "Size": volume.size,
        "SnapshotId": volume.snapshot_id or "",
        "State": volume.state,
        "VolumeType": volume.volume_type,
        "Tags": api_tags(volume.tags),
    }


@action("CreateVolume")
def create_volume(world: World, params: Params) -> ActionResponse:
    """Idempotent by ClientToken; `creating` for a while, then available."""
    token = str(params.get("ClientToken") or "")
    known = result_of_token(world, "CreateVolume", token, params)
    if known is not None:
        return api_shape(known)
    zone = params.get("AvailabilityZone")
    if not zone:
        raise missing("zone")
    if zone not in world.subnets:
        raise Ec2Error("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    if not params.get("Size") and not params.get("SnapshotId"):
        raise missing("size/snapshot")
    check_kind(params)
    if params.get("SnapshotId"):
        snapshot = world.snapshot(str(params["SnapshotId"]))
        if snapshot.state != "completed":
            raise Ec2Error("IncorrectState", f"Snapshot '{snapshot.id}' is not 'completed'")
        if params.get("Size") and int(params["Size"]) < snapshot.size:
            raise invalid_value(f"The size {params['Size']} is smaller than that of {snapshot.id}")
    volume = new_volume(world, params, str(zone), tags_for(params, "volume"))
    if token:
        world.tokens[("CreateVolume", token)] = (fingerprint(params), volume)
    world.after(world.profile.volume_s, lambda: _make(world, volume))
    return api_shape(volume)


def _make(world: World, volume: Volume) -> None:
    world.then(lambda: create_on_hosts(world, volume))
    world.then(lambda: world.transact(lambda: _available(world, volume)))


def _available(world: World, volume: Volume) -> None:
    if volume.id in world.volumes and volume.state == "creating":
        volume.state = "available"


@action("DescribeVolumes")
def describe_volumes(world: World, params: Params) -> ActionResponse:
    ids = params.get("VolumeIds")
    found = [world.volume(i) for i in ids] if ids else list(world.volumes.values())
    rows, token = page(select([api_shape(v) for v in found], params.get("Filters"), PATHS), params)
    return {"Volumes": rows, "NextToken": token}


@action("DeleteVolume")
def delete_volume(world: World, params: Params) -> ActionResponse:
    volume = world.volume(str(params["VolumeId"]))
    if volume.attachment is not None:
        raise Ec2Error("VolumeInUse", f"Volume {volume.id} is currently attached to {volume.attachment.instance_id}")
    if volume.state != "available":
        raise Ec2Error("IncorrectState", f"Volume {volume.id} is '{volume.state}'")
    delete(world, volume)
    return {}


@action("ModifyVolume")
def modify_volume(world: World, params: Params) -> ActionResponse:
    volume = world.volume(str(params["VolumeId"]))
    before = api_shape(volume)
    if int(params.get("Size") or volume.size) < volume.size:
        raise invalid_value(f"New size cannot be smaller than existing size {volume.size}")
    volume.size = int(params.get("Size") or volume.size)
    volume.volume_type = str(params.get("VolumeType") or volume.volume_type)
    volume.iops = int(params["Iops"]) if params.get("Iops") else volume.iops
    volume.throughput = int(params["Throughput"]) if params.get("Throughput") else volume.throughput
    change = {"VolumeId": volume.id, "ModificationState": "completed", "Progress": 100}
    for name, key in (("Size", "Size"), ("Iops", "Iops"), ("VolumeType", "VolumeType"), ("Throughput", "Throughput")):
        change[f"Original{name}"], change[f"Target{name}"] = before[key], api_shape(volume)[key]
    return {"VolumeModification": change}
