"""RunInstances: the request is checked, takes capacity and quota, and only then makes instances."""

from __future__ import annotations

import json
import time
from typing import Any

from lab.ec2 import interfaces, lifecycle, spot, volume_attachments
from lab.ec2.calls import ActionResponse, action
from lab.ec2.describe import api_reservation
from lab.ec2.errors import Ec2Error, combination, insufficient_capacity, invalid_value, missing
from lab.ec2.records import Image, Instance, Params, new_id, tags_for
from lab.ec2.world import World, type_facts, vcpus

STANDARD_FAMILIES = frozenset("acdhimrtz")
DEFAULT_ATTRIBUTES = {
    "instanceInitiatedShutdownBehavior": "stop",
    "disableApiTermination": False,
    "disableApiStop": False,
    "ebsOptimized": False,
    "sourceDestCheck": True,
    "enaSupport": True,
    "sriovNetSupport": "simple",
}
DEFAULT_METADATA = {
    "State": "applied",
    "HttpTokens": "optional",
    "HttpPutResponseHopLimit": 1,
    "HttpEndpoint": "enabled",
    "HttpProtocolIpv6": "disabled",
    "InstanceMetadataTags": "disabled",
}


@action("RunInstances")
def run_instances(world: World, params: Params) -> ActionResponse:
    """Idempotent by ClientToken: the same call returns the same instances, also when they have ended."""
    token = str(params.get("ClientToken") or "")
    again = instances_of_token(world, token, params)
    if again is not None:
        return api_reservation(world, again)
    instances = launch(world, params, token)
    if token:
        world.tokens[("RunInstances", token)] = (fingerprint(params), [i.id for i in instances])
    return api_reservation(world, instances)


def fingerprint(params: Params) -> str:
    return json.dumps({k: v for k, v in params.items() if k != "DryRun"}, sort_keys=True, default=str)


def result_of_token(world: World, name: str, token: str, params: Params) -> Any:
    """What this token made before, or None. The same token with other parameters is refused."""
    if len(token) > 64 or not token.isascii():
        raise invalid_value(f"Value ({token}) for parameter clientToken is invalid. Token length exceeds 64.")
    known = world.tokens.get((name, token)) if token else None
    if known is None:
        return None
    if known[0] != fingerprint(params):
        raise Ec2Error(
            "IdempotentParameterMismatch",
            f"The client token {token} was used before with different parameters.",
        )
    return known[1]


def instances_of_token(world: World, token: str, params: Params) -> list[Instance] | None:
    ids = result_of_token(world, "RunInstances", token, params)
    return None if ids is None else [world.instances[i] for i in ids]


def launch(world: World, params: Params, token: str, request: str | None = None) -> list[Instance]:
    """Check and launch. `request`: the persistent spot request that launches again."""
    least, most = _counts(params)
    image = world.image(str(params.get("ImageId") or _missing("ImageId")))
    kind = str(params.get("InstanceType") or "m1.small")
    _check_type(kind, image)
    subnet, zone = _place(world, params, kind)
    groups = _groups(world, params)
    is_spot = spot.is_spot_launch(params)
    if is_spot:
        spot.check(world, params, zone, kind)
    interfaces.check_launch(world, params, zone)
    volume_attachments.check_launch(world, params, image)
    _check_quota(world, kind, most, is_spot)
    lifecycle_name = "spot" if is_spot else "on-demand"
    count = world.market.take(zone, kind, lifecycle_name, most, least)
    if count == 0:
        raise insufficient_capacity(kind, zone, is_spot)
    reservation = new_id("r")
    return [
        _make(world, params, token, reservation, index, image, kind, zone, subnet, groups, is_spot, request)
        for index in range(count)
    ]


def _make(
    world: World,
    params: Params,
    token: str,
    reservation: str,
    index: int,
    image: Image,
    kind: str,
    zone: str,
    subnet: str,
    groups: list[str],
    is_spot: bool,
    request: str | None,
) -> Instance:
    instance = Instance(
        id=new_id("i"),
        reservation_id=reservation,
        token=token,
        index=index,
        params=params,
        image_id=image.id,
        instance_type=kind,
        architecture=image.architecture,
        zone=zone,
        subnet_id=subnet,
        lifecycle="spot" if is_spot else "on-demand",
        groups=groups,
        visible_at=time.time() + world.profile.describe_lag_s,
        attributes=_attributes(params),
        metadata_options={**DEFAULT_METADATA, **(params.get("MetadataOptions") or {})},
        tags=tags_for(params, "instance"),
    )
    world.instances[instance.id] = instance
    if is_spot:
        instance.spot_request_id = spot.open_request(world, params, instance, request)
    interfaces.at_launch(world, instance)
    volume_attachments.at_launch(world, instance, image)
    lifecycle.start_pending(world, instance)
    return instance


def _attributes(params: Params) -> dict[str, Any]:
    found = dict(DEFAULT_ATTRIBUTES)
    for parameter, attribute in (
        ("InstanceInitiatedShutdownBehavior", "instanceInitiatedShutdownBehavior"),
        ("DisableApiTermination", "disableApiTermination"),
        ("DisableApiStop", "disableApiStop"),
        ("EbsOptimized", "ebsOptimized"),
        ("UserData", "userData"),
        ("KernelId", "kernel"),
        ("RamdiskId", "ramdisk"),
    ):
        if params.get(parameter) is not None:
            found[attribute] = params[parameter]
    found["credits"] = (params.get("CreditSpecification") or {}).get("CpuCredits")
    found["monitoring"] = bool((params.get("Monitoring") or {}).get("Enabled"))
    return found


def _counts(params: Params) -> tuple[int, int]:
    least, most = int(params.get("MinCount") or 0), int(params.get("MaxCount") or 0)
    if least < 1:
        raise missing("MinCount")
    if most < least:
        raise invalid_value(f"Value ({most}) for parameter maxCount is invalid. It must be at least minCount.")
    return least, most


def _missing(parameter: str) -> str:
    raise missing(parameter)


def _check_type(kind: str, image: Image) -> None:
    facts = type_facts(kind)
    offered = facts["ProcessorInfo"]["SupportedArchitectures"]
    if image.architecture not in offered:
        raise invalid_value(
            f"The architecture '{'/'.join(offered)}' of the specified instance type does not match the"
            f" architecture '{image.architecture}' of the specified AMI. Specify an instance type and an AMI"
            " that have matching architectures, and try again."
        )
    if image.root_device_type not in facts.get("SupportedRootDeviceTypes", ["ebs"]):
        raise combination(
            f"Non-Windows instances with a virtualization type of 'hvm' and an"
            f" {image.root_device_type} root are not supported for {kind}"
        )
    if image.state != "available":
        raise Ec2Error("InvalidAMIID.Unavailable", f"The image ID '{image.id}' is not available")


def _place(world: World, params: Params, kind: str) -> tuple[str, str]:
    """Subnet and zone. A subnet decides the zone; asking for another zone beside it is refused."""
    asked = (params.get("Placement") or {}).get("AvailabilityZone")
    subnet = params.get("SubnetId") or interfaces.subnet_of(world, params)
    if params.get("SubnetId") and params.get("NetworkInterfaces"):
        raise combination("Network interfaces and an instance-level subnet ID may not be specified on the same request")
    if subnet:
        zone = world.subnet_zone(str(subnet))
        if asked and asked != zone:
            raise invalid_value(
                f"The requested Availability Zone '{asked}' does not match the subnet's: {subnet} is in {zone}."
            )
    else:
        zone = str(asked or _any_zone(world, kind))
    if zone not in world.subnets:
        raise invalid_value(f"Invalid availability zone: [{zone}]")
    if not world.market.offered(zone, kind):
        raise Ec2Error(
            "Unsupported",
            f"Your requested instance type ({kind}) is not supported in your requested Availability Zone"
            f" ({zone}). Please retry your request by not specifying an Availability Zone or choosing"
            f" {', '.join(z for z in world.market.zones if world.market.offered(z, kind)) or 'another type'}.",
        )
    return str(subnet or world.subnets[zone]), zone


def _any_zone(world: World, kind: str) -> str:
    return next((zone for zone in world.subnets if world.market.offered(zone, kind)), next(iter(world.subnets)))


def _groups(world: World, params: Params) -> list[str]:
    ids = [str(g) for g in params.get("SecurityGroupIds") or ()]
    for name in params.get("SecurityGroups") or ():
        group = world.moto.get_security_group_from_name(name, world.vpc_id)
        if group is None:
            raise Ec2Error("InvalidGroup.NotFound", f"The security group '{name}' does not exist")
        ids.append(str(group.id))
    for group_id in ids:
        world.group_name(group_id)
    return ids or [world.security_group_id]


def vcpus_in_use(world: World, lifecycle_name: str) -> int:
    """vCPUs of standard families that count against the quota."""
    return sum(
        vcpus(i.instance_type)
        for i in world.instances.values()
        if i.lifecycle == lifecycle_name and i.state in ("pending", "running") and _standard(i.instance_type)
    )


def _standard(kind: str) -> bool:
    return kind[0] in STANDARD_FAMILIES


def _check_quota(world: World, kind: str, count: int, is_spot: bool) -> None:
    if not _standard(kind):
        return
    wanted = vcpus(kind) * count
    if is_spot and vcpus_in_use(world, "spot") + wanted > world.quotas.spot:
        raise Ec2Error("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    if not is_spot and vcpus_in_use(world, "on-demand") + wanted > world.quotas.on_demand:
        raise Ec2Error(
            "VcpuLimitExceeded",
            f"You have requested more vCPU capacity than your current vCPU limit of {world.quotas.on_demand:g}"
            " allows for the instance bucket that the specified instance type belongs to. Please visit"
            " http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
        )
