"""Network interfaces and their private addresses. Each is in one subnet and on at most one instance."""

from __future__ import annotations

import ipaddress
import secrets
import time
from typing import Any

from lab.ec2 import addresses
from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, invalid_value, missing
from lab.ec2.filters import page, select
from lab.ec2.records import ACCOUNT, Instance, Interface, InterfaceAttachment, Params, api_tags, new_id, tags_for, utc
from lab.ec2.world import World, type_facts


def subnet_of(world: World, params: Params) -> str | None:
    """The subnet that the launch's primary interface brings."""
    for spec in params.get("NetworkInterfaces") or ():
        if int(spec.get("DeviceIndex") or 0) == 0:
            if spec.get("NetworkInterfaceId"):
                return world.interface(str(spec["NetworkInterfaceId"])).subnet_id
            return str(spec["SubnetId"]) if spec.get("SubnetId") else None
    return None


def check_launch(world: World, params: Params, zone: str) -> None:
    specs = list(params.get("NetworkInterfaces") or ())
    if specs and (params.get("SecurityGroupIds") or params.get("SecurityGroups")):
        raise Ec2Error(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level security groups may not be specified on the same request",
        )
    if specs and not any(int(s.get("DeviceIndex") or 0) == 0 for s in specs):
        raise invalid_value("A network interface for device index 0 must be given")
    for spec in specs:
        if spec.get("NetworkInterfaceId"):
            _check_free(world.interface(str(spec["NetworkInterfaceId"])), zone)
            if int(params.get("MaxCount") or 1) > 1:
                raise invalid_value("One network interface cannot be given to more than one instance")
    asked = params.get("PrivateIpAddress")
    subnet = params.get("SubnetId")
    if asked and subnet:
        check_ip(world, str(asked), str(subnet))


def _check_free(interface: Interface, zone: str) -> None:
    if interface.attachment is not None:
        raise Ec2Error("InvalidNetworkInterface.InUse", f"Interface: [{interface.id}] in use.")
    if interface.zone != zone:
        raise invalid_value(f"The network interface '{interface.id}' is not in the zone {zone}")


def check_ip(world: World, ip: str, subnet: str) -> None:
    if ipaddress.IPv4Address(ip) not in world.subnet_network(subnet):
        raise invalid_value(f"Address {ip} does not fall within the subnet's address range")
    if ip in world.private_ips():
        raise Ec2Error("InvalidIPAddress.InUse", f"Address {ip} is in use.")


def at_launch(world: World, instance: Instance) -> None:
    specs = list(instance.params.get("NetworkInterfaces") or ()) or [{"DeviceIndex": 0}]
    for spec in sorted(specs, key=lambda s: int(s.get("DeviceIndex") or 0)):
        if spec.get("NetworkInterfaceId"):
            interface = world.interface(str(spec["NetworkInterfaceId"]))
        else:
            interface = _for_launch(world, instance, spec)
        index = int(spec.get("DeviceIndex") or 0)
        keep = spec.get("DeleteOnTermination")
        gone = not spec.get("NetworkInterfaceId") if keep is None else bool(keep)
        interface.attachment = InterfaceAttachment(new_id("eni-attach"), instance.id, index, gone)


def _for_launch(world: World, instance: Instance, spec: Params) -> Interface:
    primary = int(spec.get("DeviceIndex") or 0) == 0
    asked = dict(spec)
    asked.setdefault("SubnetId", instance.subnet_id)
    asked.setdefault("Groups", instance.groups)
    if primary and instance.params.get("PrivateIpAddress"):
        asked.setdefault("PrivateIpAddress", instance.params["PrivateIpAddress"])
    return make(world, asked, tags_for(instance.params, "network-interface"))


def make(world: World, asked: Params, tags: dict[str, str]) -> Interface:
    subnet = str(asked["SubnetId"])
    given = [str(a["PrivateIpAddress"]) for a in asked.get("PrivateIpAddresses") or () if not a.get("Primary")]
    first = next((a["PrivateIpAddress"] for a in asked.get("PrivateIpAddresses") or () if a.get("Primary")), None)
    ip = asked.get("PrivateIpAddress") or first
    for one in [*given, *([str(ip)] if ip else [])]:
        check_ip(world, one, subnet)
    interface = Interface(
        id=new_id("eni"),
        subnet_id=subnet,
        zone=world.subnet_zone(subnet),
        private_ip=str(ip) if ip else world.free_ip(subnet),
        groups=[str(g) for g in asked.get("Groups") or [world.security_group_id]],
        mac="02:" + ":".join(secrets.token_hex(1) for _ in range(5)),
        description=str(asked.get("Description") or ""),
        tags=tags,
    )
    for group in interface.groups:
        world.group_name(group)
    world.interfaces[interface.id] = interface
    interface.secondary.extend(given)
    for _ in range(int(asked.get("SecondaryPrivateIpAddressCount") or 0)):
        interface.secondary.append(world.free_ip(subnet))
    return interface


def release_all(world: World, instance: Instance) -> None:
    for interface in world.interfaces_of(instance.id):
        doomed = interface.attachment is not None and interface.attachment.delete_on_termination
        interface.attachment = None
        addresses.forward_interface(world, interface)
        if doomed:
            addresses.leave_interface(world, interface)
            world.interfaces.pop(interface.id, None)


PATHS = {
    "network-interface-id": "NetworkInterfaceId",
    "attachment.instance-id": "Attachment.InstanceId",
    "attachment.attachment-id": "Attachment.AttachmentId",
    "attachment.device-index": "Attachment.DeviceIndex",
    "attachment.status": "Attachment.Status",
    "attachment.delete-on-termination": "Attachment.DeleteOnTermination",
    "availability-zone": "AvailabilityZone",
    "addresses.private-ip-address": "PrivateIpAddresses.PrivateIpAddress",
    "association.public-ip": "Association.PublicIp",
    "description": "Description",
    "group-id": "Groups.GroupId",
    "private-ip-address": "PrivateIpAddress",
    "status": "Status",
    "subnet-id": "SubnetId",
    "vpc-id": "VpcId",
}


def api_shape(world: World, interface: Interface) -> dict[str, Any]:
    held = interface.attachment
    rows = []
    for ip in interface.addresses:
        row: dict[str, Any] = {"PrivateIpAddress": ip, "Primary": ip == interface.private_ip}
        association = addresses.association(world, interface.id, ip)
        if association:
            row["Association"] = association
        rows.append(row)
    return {
        "NetworkInterfaceId": interface.id,
        "AvailabilityZone": interface.zone,
        "SubnetId": interface.subnet_id,
        "VpcId": world.vpc_id,
        "OwnerId": ACCOUNT,
        "Description": interface.description,
        "MacAddress": interface.mac,
        "InterfaceType": "interface",
        "SourceDestCheck": interface.source_dest_check,
        "PrivateIpAddress": interface.private_ip,
        "PrivateIpAddresses": rows,
        "Association": rows[0].get("Association"),
        "Groups": [{"GroupId": g, "GroupName": world.group_name(g)} for g in interface.groups],
        "Status": "in-use" if held else "available",
        "TagSet": api_tags(interface.tags),
        "Tags": api_tags(interface.tags),  # for filters: the answer has TagSet alone
        "Attachment": held
        and {
            "AttachmentId": held.id,
            "InstanceId": held.instance_id,
            "InstanceOwnerId": ACCOUNT,
            "DeviceIndex": held.index,
            "DeleteOnTermination": held.delete_on_termination,
            "Status": held.state,
            "AttachTime": utc(held.at),
        },
    }


@action("DescribeNetworkInterfaces")
def describe_network_interfaces(world: World, params: Params) -> ActionResponse:
    ids = params.get("NetworkInterfaceIds")
    found = [world.interface(i) for i in ids] if ids else list(world.interfaces.values())
    rows, token = page(select([api_shape(world, e) for e in found], params.get("Filters"), PATHS), params)
    return {"NetworkInterfaces": rows, "NextToken": token}


@action("CreateNetworkInterface")
def create_network_interface(world: World, params: Params) -> ActionResponse:
    if not params.get("SubnetId"):
        raise missing("subnetId")
    token = params.get("ClientToken")
    from lab.ec2.launch import fingerprint, result_of_token

    known = result_of_token(world, "CreateNetworkInterface", str(token or ""), params)
    made = world.interface(known) if known else make(world, params, tags_for(params, "network-interface"))
    if token:
        world.tokens[("CreateNetworkInterface", str(token))] = (fingerprint(params), made.id)
    return {"NetworkInterface": api_shape(world, made), "ClientToken": token}


@action("DeleteNetworkInterface")
def delete_network_interface(world: World, params: Params) -> ActionResponse:
    interface = world.interface(str(params["NetworkInterfaceId"]))
    if interface.attachment is not None:
        raise Ec2Error("InvalidNetworkInterface.InUse", f"Network interface '{interface.id}' is currently in use.")
    addresses.leave_interface(world, interface)
    del world.interfaces[interface.id]
    return {}


@action("AttachNetworkInterface")
def attach_network_interface(world: World, params: Params) -> ActionResponse:
    interface = world.interface(str(params["NetworkInterfaceId"]))
    instance = world.instance(str(params["InstanceId"]))
    _check_free(interface, instance.zone)
    if instance.state not in ("running", "stopped"):
        raise Ec2Error("IncorrectState", f"Instance '{instance.id}' is not 'running' but '{instance.state}'")
    index, present = int(params.get("DeviceIndex") or 0), world.interfaces_of(instance.id)
    if any(e.attachment and e.attachment.index == index for e in present):
        raise invalid_value(f"Instance '{instance.id}' already has an interface attached at device index '{index}'.")
    if len(present) >= int(type_facts(instance.instance_type)["NetworkInfo"]["MaximumNetworkInterfaces"]):
        raise Ec2Error("AttachmentLimitExceeded", f"Interface count exceeds the limit for {instance.instance_type}")
    held = InterfaceAttachment(new_id("eni-attach"), instance.id, index, False, "attaching")
    interface.attachment = held
    world.after(world.profile.address_s, lambda: _attached(world, interface, held))
    return {"AttachmentId": held.id, "NetworkCardIndex": 0}


def _attached(world: World, interface: Interface, held: InterfaceAttachment) -> None:
    if interface.attachment is held and held.state == "attaching":
        held.state, held.at = "attached", time.time()
        addresses.forward_interface(world, interface)


@action("DetachNetworkInterface")
def detach_network_interface(world: World, params: Params) -> ActionResponse:
    """The primary interface never detaches."""
    wanted = str(params["AttachmentId"])
    interface = next((e for e in world.interfaces.values() if e.attachment and e.attachment.id == wanted), None)
    if interface is None or interface.attachment is None:
        raise Ec2Error("InvalidAttachmentID.NotFound", f"The attachment ID '{wanted}' does not exist")
    held = interface.attachment
    if held.index == 0:
        raise Ec2Error(
            "OperationNotPermitted",
            f"The network interface at device index 0 and networkCard index 0 cannot be detached. ({interface.id})",
        )
    held.state = "detaching"

    def detached() -> None:
        if interface.attachment is held:
            interface.attachment = None
            addresses.forward_interface(world, interface)

    world.after(world.profile.address_s, detached)
    return {}


@action("ModifyNetworkInterfaceAttribute")
def modify_network_interface_attribute(world: World, params: Params) -> ActionResponse:
    interface = world.interface(str(params["NetworkInterfaceId"]))
    change = params.get("Attachment")
    if change:
        held = interface.attachment
        if held is None or held.id != change.get("AttachmentId"):
            raise Ec2Error("InvalidAttachmentID.NotFound", f"The attachment ID '{change}' does not exist")
        held.delete_on_termination = bool(change.get("DeleteOnTermination"))
    if params.get("Groups"):
        interface.groups = [str(g) for g in params["Groups"]]
    if params.get("Description"):
        interface.description = str(params["Description"].get("Value") or "")
    if params.get("SourceDestCheck"):
        interface.source_dest_check = bool(params["SourceDestCheck"].get("Value"))
    return {}


@action("AssignPrivateIpAddresses")
def assign_private_ip_addresses(world: World, params: Params) -> ActionResponse:
    """With AllowReassignment a secondary address leaves the interface that has it."""
    interface = world.interface(str(params["NetworkInterfaceId"]))
    asked = [str(ip) for ip in params.get("PrivateIpAddresses") or ()]
    for ip in asked:
        if ipaddress.IPv4Address(ip) not in world.subnet_network(interface.subnet_id):
            raise invalid_value(f"Address {ip} does not fall within the subnet's address range")
        _check_taken(world, ip, interface, bool(params.get("AllowReassignment")))
    for _ in range(int(params.get("SecondaryPrivateIpAddressCount") or 0)):
        asked.append(world.free_ip(interface.subnet_id))
    for ip in asked:
        _move_ip(world, ip, interface)
    return {
        "NetworkInterfaceId": interface.id,
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": ip} for ip in asked],
    }


def _check_taken(world: World, ip: str, interface: Interface, allowed: bool) -> None:
    for other in world.interfaces.values():
        if ip in other.addresses and other is not interface and (ip == other.private_ip or not allowed):
            raise invalid_value(
                f"[{ip}] is already assigned to {other.id}"
                + (" as its primary address" if ip == other.private_ip else "; reassignment is not allowed")
            )


def _move_ip(world: World, ip: str, interface: Interface) -> None:
    for other in world.interfaces.values():
        if ip in other.secondary:
            other.secondary.remove(ip)
    if ip != interface.private_ip:
        interface.secondary.append(ip)
    addresses.move_elastic_ip(world, interface, ip)
    addresses.forward_later(world, ip)


@action("UnassignPrivateIpAddresses")
def unassign_private_ip_addresses(world: World, params: Params) -> ActionResponse:
    interface = world.interface(str(params["NetworkInterfaceId"]))
    asked = [str(ip) for ip in params.get("PrivateIpAddresses") or ()]
    for ip in asked:
        if ip not in interface.secondary:
            raise invalid_value(f"Some of [{ip}] are not assigned to interface {interface.id}")
    for ip in asked:
        interface.secondary.remove(ip)
        addresses.clear_elastic_ip(world, interface, ip)
        addresses.forward_later(world, ip)
    return {}
