"""A RunInstances request for an instance like a blueprint.

Some attributes RunInstances cannot set. Protection against stopping and termination may only be set after the commit,
since a rollback has to be able to end the instance. `attribute_match` sets both later.
"""

from __future__ import annotations

import base64
from typing import Any

from activities.ec2.describe import tag_specification
from domain.blueprint import BlockDevice, Blueprint
from domain.ec2 import LaunchInput
from domain.pools import Pool

# For these types IOPS are chosen. For others EC2 derives and reports them, and refuses a value.
PROVISIONED_IOPS = frozenset({"io1", "io2", "gp3"})
PROVISIONED_THROUGHPUT = frozenset({"gp3"})
_FIRST_DATA_DEVICE = ord("f")  # /dev/sd[f-p]: EC2's names for data volumes


def run_instances_request(given: LaunchInput, *, public_ip: bool | None) -> dict[str, Any]:
    """`public_ip`: True or False asks for an automatic public address or none; None leaves it to the subnet."""
    old, pool = given.blueprint, Pool.parse(given.pool)
    request: dict[str, Any] = {
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": given.token,
        "ImageId": old.image_id,
        "InstanceType": pool.instance_type,
        "InstanceInitiatedShutdownBehavior": old.shutdown_behavior,
        "Monitoring": {"Enabled": old.monitoring},
        "BlockDeviceMappings": _block_devices(old, given.data_volumes_gib),
        "TagSpecifications": _tags(given, pool),
        **_network(given, public_ip),
        **_options(old, pool),
    }
    if old.user_data_base64:
        # boto3 encodes user data itself: without decoding it here it would arrive encoded twice.
        request["UserData"] = base64.b64decode(old.user_data_base64)
    if pool.spot:
        request["InstanceMarketOptions"] = _spot(given.max_spot_usd_per_hour)
    return {name: value for name, value in request.items() if value not in ({}, [], "")}


def is_burstable(instance_type: str) -> bool:
    """T2, T3, T3a, T4g…: the families with CPU credits (`trn1` is none)."""
    return instance_type[:1] == "t" and instance_type[1:2].isdigit()


def data_device(index: int) -> str:
    return f"/dev/sd{chr(_FIRST_DATA_DEVICE + index)}"


def _network(given: LaunchInput, public_ip: bool | None) -> dict[str, Any]:
    """Settings of the request itself, unless the public address must be said: only an interface can say it."""
    old = given.blueprint
    if public_ip is None and not old.ipv6_count:
        return {"SubnetId": given.subnet_id, "SecurityGroupIds": old.security_group_ids}
    interface: dict[str, Any] = {"DeviceIndex": 0, "SubnetId": given.subnet_id, "DeleteOnTermination": True}
    if old.security_group_ids:
        interface["Groups"] = old.security_group_ids
    if public_ip is not None:
        interface["AssociatePublicIpAddress"] = public_ip
    if old.ipv6_count:
        interface["Ipv6AddressCount"] = old.ipv6_count
    return {"NetworkInterfaces": [interface]}


def _options(old: Blueprint, pool: Pool) -> dict[str, Any]:
    return {
        "KeyName": old.key_name,
        "IamInstanceProfile": {"Arn": old.instance_profile_arn} if old.instance_profile_arn else {},
        # Types that are always optimised take True as well; a False is left to the type's default.
        "EbsOptimized": True if old.ebs_optimized else "",
        "CreditSpecification": _credits(old, pool),
        "Placement": _placement(old),
        "MetadataOptions": _metadata(old),
        # One-time spot instances cannot hibernate.
        "HibernationOptions": {"Configured": True} if old.hibernation and not pool.spot else {},
        "EnclaveOptions": {"Enabled": True} if old.enclave else {},
        "MaintenanceOptions": {"AutoRecovery": old.auto_recovery} if old.auto_recovery else {},
        "PrivateDnsNameOptions": _private_dns(old),
    }


def _credits(old: Blueprint, pool: Pool) -> dict[str, Any]:
    return {"CpuCredits": old.cpu_credits} if old.cpu_credits and is_burstable(pool.instance_type) else {}


def _placement(old: Blueprint) -> dict[str, Any]:
    placement: dict[str, Any] = {}
    if old.tenancy not in ("", "default"):
        placement["Tenancy"] = old.tenancy
    if old.placement_group:
        placement["GroupName"] = old.placement_group
    return placement


def _metadata(old: Blueprint) -> dict[str, Any]:
    options: dict[str, Any] = dict(old.metadata_options)
    if "HttpPutResponseHopLimit" in options:
        options["HttpPutResponseHopLimit"] = int(options["HttpPutResponseHopLimit"])
    return options


def _private_dns(old: Blueprint) -> dict[str, Any]:
    return {k: v == "true" if k.startswith("Enable") else v for k, v in old.private_dns_options.items()}


def _block_devices(old: Blueprint, new_volumes_gib: list[int]) -> list[dict[str, Any]]:
    devices = [{"DeviceName": old.root.device, "Ebs": _root(old.root)}] if old.root else []
    devices += [{"DeviceName": device, "NoDevice": ""} for device in old.image_devices]
    devices += [
        {
            "DeviceName": data_device(index),
            "Ebs": {"VolumeSize": gib, "VolumeType": "gp3", "DeleteOnTermination": False},
        }
        for index, gib in enumerate(new_volumes_gib)
    ]
    return devices


def _root(root: BlockDevice) -> dict[str, Any]:
    ebs = volume_settings(
        root.volume_type, root.size_gib, root.iops, root.throughput_mib_s, root.encrypted, root.kms_key_id
    )
    renamed = {"Size": "VolumeSize"}
    return {renamed.get(k, k): v for k, v in ebs.items()} | {"DeleteOnTermination": root.delete_on_termination}


def volume_settings(
    volume_type: str, size_gib: int, iops: int | None, throughput: int | None, encrypted: bool, kms_key_id: str
) -> dict[str, Any]:
    """Settings by CreateVolume's names, and only those that EC2 accepts for the type."""
    settings: dict[str, Any] = {"Size": size_gib, "VolumeType": volume_type}
    if iops and volume_type in PROVISIONED_IOPS:
        settings["Iops"] = iops
    if throughput and volume_type in PROVISIONED_THROUGHPUT:
        settings["Throughput"] = throughput
    if encrypted:
        settings["Encrypted"] = True
        if kms_key_id:
            settings["KmsKeyId"] = kms_key_id
    return settings


def _tags(given: LaunchInput, pool: Pool) -> list[Any]:
    root_tags = given.blueprint.root.tags if given.blueprint.root else {}
    tags = tag_specification("instance", given.blueprint.tags | given.tags)
    tags += tag_specification("volume", root_tags | given.tags)
    return tags + (tag_specification("spot-instances-request", given.tags) if pool.spot else [])


def _spot(max_usd_per_hour: float | None) -> dict[str, Any]:
    """One-time: a persistent request would launch again whenever its instance ends."""
    options: dict[str, Any] = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    if max_usd_per_hour is not None:
        options["MaxPrice"] = f"{max_usd_per_hour:.6f}"
    return {"MarketType": "spot", "SpotOptions": options}
