"""Snapshots: the state of a volume at the moment of the call. They are completed some time later."""

from __future__ import annotations

from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error
from lab.ec2.filters import page, select
from lab.ec2.records import ACCOUNT, Params, Snapshot, Volume, api_tags, new_id, tags_for, utc
from lab.ec2.world import World

PATHS = {
    "snapshot-id": "SnapshotId",
    "volume-id": "VolumeId",
    "status": "State",
    "owner-id": "OwnerId",
    "description": "Description",
    "encrypted": "Encrypted",
    "volume-size": "VolumeSize",
    "start-time": "StartTime",
}


def api_shape(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "SnapshotId": snapshot.id,
        "VolumeId": snapshot.volume_id,
        "VolumeSize": snapshot.size,
        "Description": snapshot.description,
        "Encrypted": snapshot.encrypted,
        "KmsKeyId": snapshot.kms_key_id,
        "OwnerId": ACCOUNT,
        "Progress": "100%" if snapshot.state == "completed" else "0%",
        "StartTime": utc(snapshot.started),
        "State": snapshot.state,
        "StorageTier": "standard",
        "Tags": api_tags(snapshot.tags),
    }


def take(world: World, volume: Volume, description: str, tags: dict[str, str]) -> Snapshot:
    """The copy is made before the call is answered; later ones of a volume complete sooner."""
    if volume.state not in ("available", "in-use"):
        raise Ec2Error("IncorrectState", f"The volume '{volume.id}' is '{volume.state}'")
    snapshot = Snapshot(
        id=new_id("snap"),
        volume_id=volume.id,
        size=volume.size,
        description=description,
        encrypted=volume.encrypted,
        kms_key_id=volume.kms_key_id,
        tags=tags,
    )
    world.snapshots[snapshot.id] = snapshot
    seconds = world.profile.snapshot_delta_s if volume.snapshots_taken else world.profile.snapshot_s
    volume.snapshots_taken += 1
    world.then(lambda: _copy(world, snapshot))
    world.then(lambda: world.after(seconds, lambda: _complete(snapshot)))
    return snapshot


def _copy(world: World, snapshot: Snapshot) -> None:
    try:
        world.hosts.snapshot(snapshot.id, snapshot.volume_id)
    except Exception:
        snapshot.state = "error"
        raise


def _complete(snapshot: Snapshot) -> None:
    if snapshot.state == "pending":
        snapshot.state = "completed"


@action("CreateSnapshot")
def create_snapshot(world: World, params: Params) -> ActionResponse:
    volume = world.volume(str(params["VolumeId"]))
    return api_shape(take(world, volume, str(params.get("Description") or ""), tags_for(params, "snapshot")))


@action("CreateSnapshots")
def create_snapshots(world: World, params: Params) -> ActionResponse:
    """Of every volume of one instance, at one moment."""
    asked = params.get("InstanceSpecification") or {}
    instance = world.instance(str(asked.get("InstanceId") or ""))
    left_out = set(asked.get("ExcludeDataVolumeIds") or ())
    volumes = [
        v
        for v in world.volumes_of(instance.id)
        if v.id not in left_out and not (v.root and asked.get("ExcludeBootVolume"))
    ]
    taken = []
    for volume in volumes:
        tags = tags_for(params, "snapshot")
        if params.get("CopyTagsFromSource") == "volume":
            tags = {**volume.tags, **tags}
        taken.append(api_shape(take(world, volume, str(params.get("Description") or ""), tags)))
    return {"Snapshots": taken}


@action("DescribeSnapshots")
def describe_snapshots(world: World, params: Params) -> ActionResponse:
    ids = params.get("SnapshotIds")
    found = [world.snapshot(i) for i in ids] if ids else list(world.snapshots.values())
    rows, token = page(select([api_shape(s) for s in found], params.get("Filters"), PATHS), params)
    return {"Snapshots": rows, "NextToken": token}


@action("DeleteSnapshot")
def delete_snapshot(world: World, params: Params) -> ActionResponse:
    snapshot = world.snapshot(str(params["SnapshotId"]))
    for image in world.images.values():
        if any(m.get("Ebs", {}).get("SnapshotId") == snapshot.id for m in image.mappings):
            raise Ec2Error("InvalidSnapshot.InUse", f"The snapshot {snapshot.id} is currently in use by {image.id}")
    del world.snapshots[snapshot.id]
    world.then(lambda: world.hosts.delete_snapshot(snapshot.id))
    return {}
