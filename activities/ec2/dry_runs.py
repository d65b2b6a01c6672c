"""Each action of a handoff as a call with DryRun, on the resources that it would really touch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from activities.ec2.describe import tag_list
from activities.ec2.launch_request import data_device
from domain.blueprint import Blueprint
from domain.names import ownership_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

_Call = Callable[[], object]
_TAGS = tag_list(ownership_tags("check", "check", "check"))


def dry_run(ec2: EC2Client, action: str, old: Blueprint) -> _Call | None:
    """None when the action has no dry run, or the instance has nothing to try it on."""
    make = _CALLS.get(action)
    return make(ec2, old) if make else None


def _terminate(ec2: EC2Client, old: Blueprint) -> _Call | None:
    return functools.partial(ec2.terminate_instances, InstanceIds=[old.instance_id], DryRun=True)


def _tag(ec2: EC2Client, old: Blueprint) -> _Call | None:
    return functools.partial(ec2.create_tags, Resources=[old.instance_id], Tags=_TAGS, DryRun=True)


def _untag(ec2: EC2Client, old: Blueprint) -> _Call | None:
    keys = [{"Key": tag["Key"]} for tag in _TAGS if "Key" in tag]
    return functools.partial(ec2.delete_tags, Resources=[old.instance_id], Tags=keys, DryRun=True)  # type: ignore[arg-type]


def _detach(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for volume in old.data_volumes:
        return functools.partial(ec2.detach_volume, VolumeId=volume.volume_id, InstanceId=old.instance_id, DryRun=True)
    return None


def _attach(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for volume in old.data_volumes:
        return functools.partial(
            ec2.attach_volume,
            VolumeId=volume.volume_id,
            InstanceId=old.instance_id,
            Device=volume.device or data_device(0),
            DryRun=True,
        )
    return None


def _snapshot(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for volume in old.data_volumes:
        return functools.partial(
            ec2.create_snapshot,
            VolumeId=volume.volume_id,
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": _TAGS}],
            DryRun=True,
        )
    return None


def _volume(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for volume in old.data_volumes:
        return functools.partial(
            ec2.create_volume,
            AvailabilityZone=old.zone,
            Size=volume.size_gib,
            TagSpecifications=[{"ResourceType": "volume", "Tags": _TAGS}],
            DryRun=True,
        )
    return None


def _delete_volume(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for volume in old.data_volumes:
        return functools.partial(ec2.delete_volume, VolumeId=volume.volume_id, DryRun=True)
    return None


def _associate(ec2: EC2Client, old: Blueprint) -> _Call | None:
    for eip in old.elastic_ips:
        return functools.partial(
            ec2.associate_address,
            AllocationId=eip.allocation_id,
            NetworkInterfaceId=old.network_interface_id,
            AllowReassociation=True,
            DryRun=True,
        )
    return None


def _cancel(ec2: EC2Client, old: Blueprint) -> _Call | None:
    if not old.spot_request_id:
        return None
    return functools.partial(
        ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=[old.spot_request_id], DryRun=True
    )


def _modify(ec2: EC2Client, old: Blueprint) -> _Call | None:
    return functools.partial(
        ec2.modify_instance_attribute,
        InstanceId=old.instance_id,
        DisableApiTermination={"Value": old.termination_protection},
        DryRun=True,
    )


# AssignPrivateIpAddresses has no DryRun in the API; nor have calls of Elastic Load Balancing.
_CALLS: Mapping[str, Callable[[EC2Client, Blueprint], _Call | None]] = {
    "AssociateAddress": _associate,
    "AttachVolume": _attach,
    "CancelSpotInstanceRequests": _cancel,
    "CreateSnapshot": _snapshot,
    "CreateTags": _tag,
    "CreateVolume": _volume,
    "DeleteTags": _untag,
    "DeleteVolume": _delete_volume,
    "DetachVolume": _detach,
    "ModifyInstanceAttribute": _modify,
    "TerminateInstances": _terminate,
}
