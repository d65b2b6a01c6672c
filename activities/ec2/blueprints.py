"""Makes a blueprint of EC2's answers. It calls nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from activities.ec2 import describe
from activities.ec2.describe import TAG_PROTECT, customer_tags, ownership_tags_of, tag_dict
from domain.blueprint import BlockDevice, Blueprint, ElasticIp, Target
from domain.pools import Lifecycle, Pool

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        AddressTypeDef,
        ImageTypeDef,
        InstanceNetworkInterfaceTypeDef,
        InstanceTypeDef,
        VolumeTypeDef,
    )

# MetadataOptions as RunInstances takes them; `State` only tells whether a change has been applied.
_METADATA = ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags")
_PRIVATE_DNS = ("HostnameType", "EnableResourceNameDnsARecord", "EnableResourceNameDnsAAAARecord")


@dataclass(frozen=True)
class InstanceAnswers:
    """The answers. `attributes`: values of DescribeInstanceAttribute, by the answer's name."""

    region: str
    instance: InstanceTypeDef
    account_id: str
    attributes: Mapping[str, Any]
    volumes: list[VolumeTypeDef]
    addresses: list[AddressTypeDef]
    image: ImageTypeDef | None
    persistent: bool
    cpu_credits: str
    targets: list[Target]


def blueprint_of(findings: InstanceAnswers) -> Blueprint:
    found, image = findings.instance, findings.image
    tags = tag_dict(found.get("Tags"))
    placement = found.get("Placement", {})
    zone = placement.get("AvailabilityZone", "")
    return Blueprint(
        instance_id=found.get("InstanceId", ""),
        state=describe.state(found),
        region=findings.region,
        account_id=_owner(found) or findings.account_id,
        pool=str(_pool(found, zone)),
        image_id=found.get("ImageId", ""),
        architecture=found.get("Architecture", ""),
        virtualization_type=found.get("VirtualizationType", "hvm"),
        root_device_type=found.get("RootDeviceType", "ebs"),
        root_device_name=found.get("RootDeviceName", ""),
        vpc_id=found.get("VpcId", ""),
        subnet_id=found.get("SubnetId", ""),
        zone=zone,
        tenancy=placement.get("Tenancy", "default"),
        placement_group=placement.get("GroupName", ""),
        platform=found.get("PlatformDetails", "Linux/UNIX"),
        tags=customer_tags(tags),
        own_tags=ownership_tags_of(tags),
        block_devices=_block_devices(found, findings.volumes),
        image_devices=_image_devices(image, found.get("RootDeviceName", "")),
        elastic_ips=_elastic_ips(findings.addresses),
        targets=findings.targets,
        spot_request_id=found.get("SpotInstanceRequestId", ""),
        spot_request_persistent=findings.persistent,
        cpu_credits=findings.cpu_credits,
        **_network(found),
        **_settings(found),
        **_attributes(findings.attributes, tags),
    )


def _pool(found: InstanceTypeDef, zone: str) -> Pool:
    lifecycle = Lifecycle.SPOT if found.get("InstanceLifecycle") == "spot" else Lifecycle.ON_DEMAND
    return Pool(zone, found.get("InstanceType", ""), lifecycle)


def _owner(found: InstanceTypeDef) -> str:
    """The account that owns the instance: in a shared subnet we see other accounts' instances too."""
    return next((str(i.get("OwnerId", "")) for i in found.get("NetworkInterfaces", [])), "")


def _primary(found: InstanceTypeDef) -> InstanceNetworkInterfaceTypeDef:
    primary_id = describe.primary_interface_id(found)
    none: InstanceNetworkInterfaceTypeDef = {}
    return next((i for i in found.get("NetworkInterfaces", []) if i.get("NetworkInterfaceId") == primary_id), none)


def _network(found: InstanceTypeDef) -> dict[str, Any]:
    primary = _primary(found)
    primary_id = primary.get("NetworkInterfaceId", "")
    private_ip = found.get("PrivateIpAddress", "")
    return {
        "private_ip": private_ip,
        "public_ip": found.get("PublicIpAddress", ""),
        "network_interface_id": primary_id,
        "primary_interface_kept": not primary.get("Attachment", {}).get("DeleteOnTermination", True),
        "secondary_private_ips": [
            a.get("PrivateIpAddress", "")
            for a in primary.get("PrivateIpAddresses", [])
            if not a.get("Primary", a.get("PrivateIpAddress") == private_ip)
        ],
        "secondary_interfaces": [
            i.get("NetworkInterfaceId", "")
            for i in found.get("NetworkInterfaces", [])
            if i.get("NetworkInterfaceId", "") != primary_id
        ],
        "security_group_ids": sorted(g.get("GroupId", "") for g in found.get("SecurityGroups", [])),
        "source_dest_check": found.get("SourceDestCheck", True),
        "ipv6_count": len(primary.get("Ipv6Addresses", [])),
    }


def _settings(found: InstanceTypeDef) -> dict[str, Any]:
    metadata: Mapping[str, Any] = found.get("MetadataOptions", {})
    private_dns: Mapping[str, Any] = found.get("PrivateDnsNameOptions", {})
    return {
        "key_name": found.get("KeyName", ""),
        "instance_profile_arn": found.get("IamInstanceProfile", {}).get("Arn", ""),
        "monitoring": found.get("Monitoring", {}).get("State") in ("enabled", "pending"),
        "ebs_optimized": found.get("EbsOptimized", False),
        "ena_support": found.get("EnaSupport", True),
        "metadata_options": {k: str(metadata[k]) for k in _METADATA if metadata.get(k) is not None},
        "private_dns_options": {k: _text(private_dns[k]) for k in _PRIVATE_DNS if private_dns.get(k) is not None},
        "hibernation": found.get("HibernationOptions", {}).get("Configured", False),
        "enclave": found.get("EnclaveOptions", {}).get("Enabled", False),
        "auto_recovery": found.get("MaintenanceOptions", {}).get("AutoRecovery", ""),
    }


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _attributes(values: Mapping[str, Any], tags: Mapping[str, str]) -> dict[str, Any]:
    """A spot instance cannot be protected: our tag keeps the protection of its server (`attribute_match`)."""
    remembered = tags.get(TAG_PROTECT, "").split("+")
    return {
        "user_data_base64": values.get("UserData") or "",
        "shutdown_behavior": values.get("InstanceInitiatedShutdownBehavior") or "stop",
        "termination_protection": bool(values.get("DisableApiTermination")) or "terminate" in remembered,
        "stop_protection": bool(values.get("DisableApiStop")) or "stop" in remembered,
        "sriov_net_support": values.get("SriovNetSupport") or "",
    }


def _block_devices(found: InstanceTypeDef, volumes: list[VolumeTypeDef]) -> list[BlockDevice]:
    """Root first. DeleteOnTermination is in the instance's answer, the rest in the volume's."""
    by_id = {v.get("VolumeId", ""): v for v in volumes}
    root = found.get("RootDeviceName", "")
    devices = []
    for mapping in found.get("BlockDeviceMappings", []):
        ebs, device = mapping.get("Ebs", {}), mapping.get("DeviceName", "")
        if volume := by_id.get(ebs.get("VolumeId", "")):
            devices.append(_block_device(volume, device, device == root, ebs.get("DeleteOnTermination", False)))
    return sorted(devices, key=lambda d: (not d.root, d.device))


def _block_device(volume: VolumeTypeDef, device: str, root: bool, dies: bool) -> BlockDevice:
    return BlockDevice(
        device=device,
        volume_id=volume.get("VolumeId", ""),
        size_gib=volume.get("Size", 0),
        volume_type=volume.get("VolumeType", ""),
        root=root,
        iops=volume.get("Iops"),
        throughput_mib_s=volume.get("Throughput"),
        encrypted=volume.get("Encrypted", False),
        kms_key_id=volume.get("KmsKeyId", ""),
        delete_on_termination=dies,
        tags=customer_tags(tag_dict(volume.get("Tags"))),
    )


def _image_devices(image: ImageTypeDef | None, root: str) -> list[str]:
    """EBS volumes the image would add. Instance-store disks belong to the type and stay."""
    mappings = image.get("BlockDeviceMappings", []) if image else []
    return [m.get("DeviceName", "") for m in mappings if "Ebs" in m and m.get("DeviceName") != root]


def _elastic_ips(addresses: list[AddressTypeDef]) -> list[ElasticIp]:
    return [
        ElasticIp(a.get("AllocationId", ""), a.get("PublicIp", ""), a.get("PrivateIpAddress", "")) for a in addresses
    ]
