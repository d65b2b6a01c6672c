"""Attributes that decide where an instance can run, for many instances. They do not change while an instance lives."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from activities.ec2.activity import parallel
from activities.ec2.clients import Clients
from activities.ec2.errors import doing
from domain.blueprint import BlockDevice, Blueprint
from domain.pools import Lifecycle, Pool

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

_AT_ONCE = 100  # values of a filter: DescribeInstances takes up to 200
_MOST_KEPT = 100_000


class InstanceOutlines:
    """Blueprints with those fields alone, and volumes without their size. Cached by instance."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._kept: dict[str, Blueprint] = {}

    def of(self, region: str, instance_ids: Collection[str]) -> dict[str, Blueprint]:
        """By instance; one that EC2 does not know (any more) is absent."""
        if len(self._kept) > _MOST_KEPT:
            self._kept.clear()
        unknown = [one for one in instance_ids if one not in self._kept]
        chunks = [unknown[at : at + _AT_ONCE] for at in range(0, len(unknown), _AT_ONCE)]
        for found in parallel([functools.partial(self._ask, region, chunk) for chunk in chunks]):
            self._kept |= found
        return {one: self._kept[one] for one in instance_ids if one in self._kept}

    def _ask(self, region: str, instance_ids: list[str]) -> dict[str, Blueprint]:
        ids = [{"Name": "instance-id", "Values": instance_ids}]  # an unknown ID among them is no error
        with doing(f"looking at {len(instance_ids)} instances"):
            pages = self._clients.ec2(region).get_paginator("describe_instances").paginate(Filters=ids)  # type: ignore[arg-type]
            return {
                instance.get("InstanceId", ""): _outline(region, instance)
                for page in pages
                for reservation in page.get("Reservations", [])
                for instance in reservation.get("Instances", [])
            }


def _outline(region: str, one: InstanceTypeDef) -> Blueprint:
    zone = one.get("Placement", {}).get("AvailabilityZone", "")
    lifecycle = Lifecycle.SPOT if one.get("InstanceLifecycle") == "spot" else Lifecycle.ON_DEMAND
    return Blueprint(
        instance_id=one.get("InstanceId", ""),
        state=str(one.get("State", {}).get("Name", "")),
        region=region,
        account_id="",
        pool=str(Pool(zone, str(one.get("InstanceType", "")), lifecycle)),
        image_id=one.get("ImageId", ""),
        architecture=str(one.get("Architecture", "")),
        virtualization_type=str(one.get("VirtualizationType", "")),
        root_device_type=str(one.get("RootDeviceType", "")),
        root_device_name=one.get("RootDeviceName", ""),
        vpc_id=one.get("VpcId", ""),
        subnet_id=one.get("SubnetId", ""),
        zone=zone,
        private_ip=one.get("PrivateIpAddress", ""),
        public_ip="",
        network_interface_id="",
        ena_support=one.get("EnaSupport", True),
        hibernation=one.get("HibernationOptions", {}).get("Configured", False),
        tenancy=str(one.get("Placement", {}).get("Tenancy", "default")),
        platform=one.get("PlatformDetails", "Linux/UNIX"),
        block_devices=list(_devices(one)),
    )


def _devices(one: InstanceTypeDef) -> Iterator[BlockDevice]:
    """As in DescribeInstances. Their sizes are only in DescribeVolumes."""
    root = one.get("RootDeviceName", "")
    for mapping in one.get("BlockDeviceMappings", []):
        device, ebs = mapping.get("DeviceName", ""), mapping.get("Ebs", {})
        if ebs:
            yield BlockDevice(device, ebs.get("VolumeId", ""), size_gib=0, volume_type="", root=device == root)
