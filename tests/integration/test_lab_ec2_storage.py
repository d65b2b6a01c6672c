"""Volumes, snapshots and images of the lab: where they may go, and when."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from lab.contracts import DeviceBusy
from tests.integration.lab_ec2 import PATIENCE_S, ZONE_B, Lab, ec2, lab, refused, wait_for

__all__ = ["ec2", "lab"]  # fixtures


def test_a_volume_attaches_once_in_its_zone_and_comes_back(lab: Lab, ec2: Any) -> None:
    one, other = lab.running(), lab.running()
    here, elsewhere = lab.volume(), lab.volume(ZONE_B)
    place = {"InstanceId": one, "Device": "/dev/sdf"}
    refused("InvalidVolume.ZoneMismatch", ec2.attach_volume, VolumeId=elsewhere, **place)
    assert ec2.attach_volume(VolumeId=here, **place)["State"] == "attaching"
    refused("VolumeInUse", ec2.attach_volume, VolumeId=here, InstanceId=other, Device="/dev/sdf")
    refused("InvalidParameterValue", ec2.attach_volume, VolumeId=lab.volume(), **place)
    refused("VolumeInUse", ec2.delete_volume, VolumeId=here)
    wait_for(lambda: attachment(ec2, here).get("State") == "attached")
    ec2.terminate_instances(InstanceIds=[one])
    wait_for(lambda: lab.volume_state(here) == "available")
    ec2.delete_volume(VolumeId=here)
    refused("InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[here])


def attachment(ec2: Any, volume_id: str) -> dict[str, Any]:
    found = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["Attachments"]
    return dict(found[0]) if found else {}


def refused_unplugs(hosts: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows by a volume each time that the hosts refuse to let it go."""
    refused_so_far: list[str] = []
    unplug = hosts.unplug

    def noted(volume_id: str, force: bool = False) -> None:
        try:
            unplug(volume_id, force)
        except DeviceBusy:
            refused_so_far.append(volume_id)
            raise

    monkeypatch.setattr(hosts, "unplug", noted)
    return refused_so_far


def test_a_mounted_volume_stays_detaching_until_it_is_unmounted(
    lab: Lab, ec2: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    instance_id, volume_id = lab.running(), lab.volume()
    ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device="/dev/sdf")
    wait_for(lambda: attachment(ec2, volume_id).get("State") == "attached")
    hosts: Any = lab.app.world.hosts
    hosts.busy.add(volume_id)
    tries = refused_unplugs(hosts, monkeypatch)
    ec2.detach_volume(VolumeId=volume_id)
    wait_for(lambda: tries.count(volume_id) >= 2)
    assert attachment(ec2, volume_id)["State"] == "detaching"
    hosts.busy.discard(volume_id)
    wait_for(lambda: lab.volume_state(volume_id) == "available")


def test_the_root_of_a_running_instance_does_not_detach(lab: Lab, ec2: Any) -> None:
    instance_id = lab.running()
    root = lab.instance(instance_id)["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
    refused("OperationNotPermitted", ec2.detach_volume, VolumeId=root)
    ec2.modify_instance_attribute(
        InstanceId=instance_id,
        BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"DeleteOnTermination": False}}],
    )
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_for(lambda: lab.volume_state(root) == "available")


def test_a_snapshot_completes_later_and_makes_a_volume_in_another_zone(lab: Lab, ec2: Any) -> None:
    origin = lab.volume()
    with lab.clock.paused():
        made = ec2.create_snapshot(VolumeId=origin)
        assert made["State"] == "pending"
        asked = {"AvailabilityZone": ZONE_B, "SnapshotId": made["SnapshotId"], "ClientToken": uuid.uuid4().hex}
        refused("IncorrectState", ec2.create_volume, **asked)
    ec2.get_waiter("snapshot_completed").wait(
        SnapshotIds=[made["SnapshotId"]], WaiterConfig={"Delay": 0.1, "MaxAttempts": int(10 * PATIENCE_S)}
    )
    volume_id = ec2.create_volume(**asked)["VolumeId"]
    assert ec2.create_volume(**asked)["VolumeId"] == volume_id
    wait_for(lambda: lab.volume_state(volume_id) == "available")


def test_an_image_of_an_instance_is_pending_then_launches(lab: Lab, ec2: Any) -> None:
    name = f"of-{uuid.uuid4().hex}"
    asked = {"InstanceId": lab.running(), "Name": name, "NoReboot": True}
    with lab.clock.paused():
        image_id = ec2.create_image(**asked)["ImageId"]
        refused("InvalidAMIName.Duplicate", ec2.create_image, **asked)
        refused("InvalidAMIID.Unavailable", lab.launch, ImageId=image_id)
    wait_for(lambda: ec2.describe_images(ImageIds=[image_id])["Images"][0]["State"] == "available")
    lab.running(ImageId=image_id)
