"""What DescribeInstances does not tell: user data, protection, credits, shutdown behaviour."""

from __future__ import annotations

import base64
from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.describe import visible
from lab.ec2.errors import Ec2Error, invalid_value, missing
from lab.ec2.records import Instance, Params
from lab.ec2.world import World, type_facts

BOOLEANS = {"disableApiTermination", "disableApiStop", "ebsOptimized", "enaSupport", "sourceDestCheck"}
STRINGS = {"instanceInitiatedShutdownBehavior", "sriovNetSupport", "kernel", "ramdisk", "userData"}
WHEN_STOPPED = {"instanceType", "userData", "ebsOptimized", "enaSupport", "sriovNetSupport", "kernel", "ramdisk"}


@action("DescribeInstanceAttribute")
def describe_instance_attribute(world: World, params: Params) -> ActionResponse:
    instance, name = visible(world, str(params["InstanceId"])), str(params.get("Attribute") or "")
    answer: dict[str, Any] = {"InstanceId": instance.id}
    shaped_name = name[:1].upper() + name[1:]
    if name in BOOLEANS | STRINGS:
        value = instance.attributes.get(name)
        answer[{"kernel": "KernelId", "ramdisk": "RamdiskId"}.get(name, shaped_name)] = (
            {} if value is None else {"Value": value}
        )
    elif name == "instanceType":
        answer[shaped_name] = {"Value": instance.instance_type}
    elif name == "rootDeviceName":
        answer[shaped_name] = {"Value": world.image(instance.image_id).root_device_name}
    elif name == "groupSet":
        answer["Groups"] = [{"GroupId": g, "GroupName": world.group_name(g)} for g in instance.groups]
    elif name == "enclaveOptions":
        answer["EnclaveOptions"] = instance.params.get("EnclaveOptions") or {"Enabled": False}
    elif name == "blockDeviceMapping":
        from lab.ec2.describe import api_shape

        answer["BlockDeviceMappings"] = api_shape(world, instance)["BlockDeviceMappings"]
    elif name == "productCodes":
        answer["ProductCodes"] = []
    elif not name:
        raise missing("attribute")
    else:
        raise invalid_value(f"Value ({name}) for parameter attribute is invalid. Unknown attribute.")
    return answer


@action("ModifyInstanceAttribute")
def modify_instance_attribute(world: World, params: Params) -> ActionResponse:
    """One attribute per call. Type, user data and others change only while stopped; a spot instance's type never."""
    instance = world.instance(str(params["InstanceId"]))
    changes = _changes(params)
    if params.get("BlockDeviceMappings"):
        _block_devices(world, instance, params["BlockDeviceMappings"])
    if params.get("Groups"):
        for group in params["Groups"]:
            world.group_name(str(group))
        instance.groups = [str(g) for g in params["Groups"]]
        world.interfaces_of(instance.id)[0].groups = list(instance.groups)
    for name, value in changes.items():
        _change(world, instance, name, value)
    return {}


def _changes(params: Params) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if params.get("Attribute") and params.get("Value") is not None:
        found[str(params["Attribute"])] = params["Value"]
    for name in BOOLEANS | STRINGS | {"instanceType"}:
        given = params.get(name[:1].upper() + name[1:])
        if isinstance(given, dict):
            found[name] = given.get("Value", "")
    return found


def _change(world: World, instance: Instance, name: str, value: Any) -> None:
    if name in WHEN_STOPPED and instance.state != "stopped":
        raise Ec2Error("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
    if name == "instanceType":
        _retype(world, instance, str(value))
        return
    if name == "disableApiTermination" and instance.lifecycle == "spot" and _truth(value):
        raise Ec2Error("InvalidParameterCombination", "You cannot enable termination protection for Spot Instances.")
    if name == "userData" and isinstance(value, bytes):
        value = base64.b64encode(value).decode()
    if name not in BOOLEANS | STRINGS:
        raise invalid_value(f"Value ({name}) for parameter attribute is invalid. Unknown attribute.")
    instance.attributes[name] = _truth(value) if name in BOOLEANS else value


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).lower() == "true"


def _retype(world: World, instance: Instance, kind: str) -> None:
    if instance.lifecycle == "spot":
        raise Ec2Error("UnsupportedOperation", "You cannot change the instance type of a Spot Instance.")
    if instance.architecture not in type_facts(kind)["ProcessorInfo"]["SupportedArchitectures"]:
        raise invalid_value(f"The instance type {kind} does not have the architecture {instance.architecture}.")
    if not world.market.offered(instance.zone, kind):
        raise Ec2Error("Unsupported", f"{kind} is not supported in {instance.zone}.")
    instance.instance_type = kind


def _block_devices(world: World, instance: Instance, mappings: list[Params]) -> None:
    held = {v.attachment.device: v.attachment for v in world.volumes_of(instance.id) if v.attachment}
    for mapping in mappings:
        device = str(mapping.get("DeviceName"))
        if device not in held:
            raise invalid_value(f"No device is currently mapped at {device}")
        keep = (mapping.get("Ebs") or {}).get("DeleteOnTermination")
        if keep is not None:
            held[device].delete_on_termination = bool(keep)


@action("DescribeInstanceCreditSpecifications")
def describe_instance_credit_specifications(world: World, params: Params) -> ActionResponse:
    """Burstable instances only. An ID of another instance is an error."""
    ids = params.get("InstanceIds")
    found = [visible(world, i) for i in ids] if ids else list(world.instances.values())
    rows = []
    for instance in found:
        if not type_facts(instance.instance_type).get("BurstablePerformanceSupported"):
            if ids:
                raise Ec2Error("InvalidInstanceID", f"The instance '{instance.id}' is not a burstable instance.")
            continue
        rows.append({"InstanceId": instance.id, "CpuCredits": _credits(instance)})
    return {"InstanceCreditSpecifications": rows}


def _credits(instance: Instance) -> str:
    default = "standard" if instance.instance_type.startswith("t2.") else "unlimited"
    return str(instance.attributes.get("credits") or default)


@action("ModifyInstanceCreditSpecification")
def modify_instance_credit_specification(world: World, params: Params) -> ActionResponse:
    done = []
    for one in params.get("InstanceCreditSpecifications") or ():
        instance = world.instance(str(one["InstanceId"]))
        instance.attributes["credits"] = one.get("CpuCredits")
        done.append({"InstanceId": instance.id})
    return {"SuccessfulInstanceCreditSpecifications": done, "UnsuccessfulInstanceCreditSpecifications": []}


@action("ModifyInstanceMetadataOptions")
def modify_instance_metadata_options(world: World, params: Params) -> ActionResponse:
    instance = world.instance(str(params["InstanceId"]))
    for name in (
        "HttpTokens",
        "HttpPutResponseHopLimit",
        "HttpEndpoint",
        "HttpProtocolIpv6",
        "InstanceMetadataTags",
    ):
        if params.get(name) is not None:
            instance.metadata_options[name] = params[name]
    return {"InstanceId": instance.id, "InstanceMetadataOptions": instance.metadata_options}


@action("MonitorInstances")
def monitor_instances(world: World, params: Params) -> ActionResponse:
    return _monitor(world, params, True)


@action("UnmonitorInstances")
def unmonitor_instances(world: World, params: Params) -> ActionResponse:
    return _monitor(world, params, False)


def _monitor(world: World, params: Params, wanted: bool) -> ActionResponse:
    rows = []
    for instance in [world.instance(i) for i in params.get("InstanceIds") or ()]:
        instance.attributes["monitoring"] = wanted
        rows.append({"InstanceId": instance.id, "Monitoring": {"State": "enabled" if wanted else "disabled"}})
    return {"InstanceMonitorings": rows}
