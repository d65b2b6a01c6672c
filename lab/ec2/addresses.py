"""Elastic IPs, and the instance to which each address leads, one at a time.

A change is answered at once and takes effect a moment later, as on EC2.
"""

from __future__ import annotations

from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error, combination, invalid_value
from lab.ec2.filters import select
from lab.ec2.records import ACCOUNT, Address, Instance, Interface, Params, api_tags, new_id, tags_for
from lab.ec2.world import World


def owner(world: World, ip: str) -> str | None:
    """The instance that `ip`, an Elastic IP or a secondary address, leads to now."""
    interface: Interface | None = None
    for address in world.addresses.values():
        if address.public_ip == ip and address.interface_id:
            interface = world.interfaces.get(address.interface_id)
    for candidate in world.interfaces.values():
        if ip in candidate.secondary or ip == candidate.private_ip:
            interface = candidate
    held = interface.attachment if interface else None
    return held.instance_id if held and held.state == "attached" else None


def forward_now(world: World, ip: str) -> None:
    world.hosts.forward(ip, owner(world, ip))


def forward_later(world: World, ip: str) -> None:
    """Forward to the instance that has the address by then: the last change wins."""
    world.after(world.profile.address_s, lambda: forward_now(world, ip))


def forwarded_ips(world: World, interface: Interface) -> list[str]:
    """Addresses that lead to this interface through a forwarder."""
    elastic = [a.public_ip for a in world.addresses.values() if a.interface_id == interface.id]
    primary = interface.attachment is not None and interface.attachment.index == 0
    return [*interface.secondary, *elastic, *([] if primary else [interface.private_ip])]


def forward_interface(world: World, interface: Interface) -> None:
    for ip in forwarded_ips(world, interface):
        forward_now(world, ip)


def forward_all(world: World, instance: Instance) -> None:
    for interface in world.interfaces_of(instance.id):
        forward_interface(world, interface)


def release_all(world: World, instance: Instance) -> None:
    """Free the Elastic IPs of an ended instance. Its addresses lead nowhere."""
    for interface in world.interfaces_of(instance.id):
        for ip in forwarded_ips(world, interface):
            world.hosts.forward(ip, None)
        leave_interface(world, interface)


def leave_interface(world: World, interface: Interface) -> None:
    for address in world.addresses.values():
        if address.interface_id == interface.id:
            _clear(world, address)


def _clear(world: World, address: Address) -> None:
    address.association_id = address.interface_id = address.private_ip = None
    world.hosts.forward(address.public_ip, None)


def move_elastic_ip(world: World, interface: Interface, ip: str) -> None:
    """An Elastic IP on a secondary address moves with it."""
    for address in world.addresses.values():
        if address.private_ip == ip and address.interface_id and address.interface_id != interface.id:
            address.interface_id = interface.id
            forward_later(world, address.public_ip)


def clear_elastic_ip(world: World, interface: Interface, ip: str) -> None:
    for address in world.addresses.values():
        if address.private_ip == ip and address.interface_id == interface.id:
            _clear(world, address)


def association(world: World, interface_id: str, private_ip: str) -> dict[str, Any] | None:
    for address in world.addresses.values():
        if address.interface_id == interface_id and address.private_ip == private_ip:
            return {
                "AllocationId": address.allocation_id,
                "AssociationId": address.association_id,
                "IpOwnerId": ACCOUNT,
                "PublicIp": address.public_ip,
                "PublicDnsName": "",
            }
    return None


_BLOCKS = (200, *range(202, 216))  # third octets of Elastic IPs; load balancers have 201
_A_BLOCK = 254
PATHS = {
    "allocation-id": "AllocationId",
    "association-id": "AssociationId",
    "domain": "Domain",
    "instance-id": "InstanceId",
    "network-interface-id": "NetworkInterfaceId",
    "private-ip-address": "PrivateIpAddress",
    "public-ip": "PublicIp",
}


def api_shape(world: World, address: Address) -> dict[str, Any]:
    interface = world.interfaces.get(address.interface_id or "")
    held = interface.attachment if interface else None
    return {
        "AllocationId": address.allocation_id,
        "PublicIp": address.public_ip,
        "Domain": "vpc",
        "AssociationId": address.association_id,
        "InstanceId": held.instance_id if held else None,
        "NetworkInterfaceId": address.interface_id,
        "NetworkInterfaceOwnerId": ACCOUNT if interface else None,
        "PrivateIpAddress": address.private_ip,
        "NetworkBorderGroup": world.region,
        "PublicIpv4Pool": "amazon",
        "Tags": api_tags(address.tags),
    }


def find(world: World, params: Params) -> Address:
    """By allocation, association or the address itself."""
    allocation, association_id, ip = (params.get(n) for n in ("AllocationId", "AssociationId", "PublicIp"))
    for address in world.addresses.values():
        if allocation and address.allocation_id == allocation:
            return address
        if association_id and address.association_id == association_id:
            return address
        if ip and not allocation and address.public_ip == ip:
            return address
    if association_id:
        raise Ec2Error("InvalidAssociationID.NotFound", f"The association ID '{association_id}' does not exist")
    if ip and not allocation:
        raise Ec2Error("InvalidAddress.NotFound", f"Address '{ip}' not found.")
    raise Ec2Error("InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist")


@action("AllocateAddress")
def allocate_address(world: World, params: Params) -> ActionResponse:
    block, number = divmod(world.number("elastic-ip") - 1, _A_BLOCK)
    if block >= len(_BLOCKS):
        raise Ec2Error("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    public_ip = f"{world.settings.network}.{_BLOCKS[block]}.{number + 1}"
    address = Address(new_id("eipalloc"), public_ip, tags=tags_for(params, "elastic-ip"))
    world.addresses[address.allocation_id] = address
    return {**api_shape(world, address), "Tags": None}


@action("ReleaseAddress")
def release_address(world: World, params: Params) -> ActionResponse:
    address = find(world, params)
    if address.association_id:
        raise Ec2Error("InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
    del world.addresses[address.allocation_id]
    world.hosts.forward(address.public_ip, None)
    return {}


@action("DescribeAddresses")
def describe_addresses(world: World, params: Params) -> ActionResponse:
    found = list(world.addresses.values())
    if params.get("AllocationIds"):
        found = [find(world, {"AllocationId": a}) for a in params["AllocationIds"]]
    if params.get("PublicIps"):
        found = [find(world, {"PublicIp": ip}) for ip in params["PublicIps"]]
    return {"Addresses": select([api_shape(world, a) for a in found], params.get("Filters"), PATHS)}


@action("AssociateAddress")
def associate_address(world: World, params: Params) -> ActionResponse:
    """In a VPC an address moves only with AllowReassociation; the same place again changes nothing."""
    address = find(world, params)
    interface = _target(world, params)
    ip = str(params.get("PrivateIpAddress") or interface.private_ip)
    if ip not in interface.addresses:
        raise invalid_value(f"The private IP address {ip} is not assigned to {interface.id}")
    if (address.interface_id, address.private_ip) == (interface.id, ip):
        return {"AssociationId": address.association_id}
    if address.association_id and not params.get("AllowReassociation"):
        raise Ec2Error(
            "Resource.AlreadyAssociated",
            f"resource {address.allocation_id} is already associated with associate-id {address.association_id}",
        )
    for other in world.addresses.values():
        if (other.interface_id, other.private_ip) == (interface.id, ip):
            if not params.get("AllowReassociation"):
                raise Ec2Error("Resource.AlreadyAssociated", f"{interface.id} already has {other.public_ip}")
            _clear(world, other)
    address.interface_id, address.private_ip = interface.id, ip
    address.association_id = new_id("eipassoc")
    forward_later(world, address.public_ip)
    return {"AssociationId": address.association_id}


def _target(world: World, params: Params) -> Interface:
    if params.get("NetworkInterfaceId"):
        return world.interface(str(params["NetworkInterfaceId"]))
    if not params.get("InstanceId"):
        raise combination("Either instance ID or network interface id must be specified")
    instance = world.instance(str(params["InstanceId"]))
    if instance.state not in ("running", "stopped"):
        raise Ec2Error(
            "InvalidInstanceID",
            f"The pending-instance-creation or ended instance {instance.id} is not in a valid state",
        )
    return world.interfaces_of(instance.id)[0]


@action("DisassociateAddress")
def disassociate_address(world: World, params: Params) -> ActionResponse:
    address = find(world, params)
    address.association_id = address.interface_id = address.private_ip = None
    forward_later(world, address.public_ip)
    return {}
