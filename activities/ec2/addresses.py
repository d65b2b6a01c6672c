"""Secondary private addresses and Elastic IPs: they move with the service."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from activities.ec2.activity import ec2_activity, parallel
from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure, doing
from domain import ec2 as contract
from domain.blueprint import ElasticIp
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Addresses:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @ec2_activity(contract.MOVE_ADDRESSES)
    def move(self, given: contract.AddressesInput) -> contract.ActionResult:
        """Secondary addresses first: an Elastic IP can only be put on an address that is there."""
        if not (given.elastic_ips or given.secondary_private_ips):
            return contract.ActionResult()
        ec2 = self._clients.ec2(given.region)
        primary, present = _private_addresses(ec2, given.network_interface_id)
        missing = [ip for ip in given.secondary_private_ips if ip not in present]
        if missing:
            with doing(f"moving {', '.join(missing)} to {given.network_interface_id}"):
                ec2.assign_private_ip_addresses(
                    NetworkInterfaceId=given.network_interface_id, PrivateIpAddresses=missing, AllowReassignment=True
                )
        here = present | set(missing)
        parallel([functools.partial(_associate, ec2, given, eip, primary, here) for eip in given.elastic_ips])
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.move]


def _private_addresses(ec2: EC2Client, interface_id: str) -> tuple[str, set[str]]:
    """The interface's primary private address, and all of them."""
    with doing(f"looking at interface {interface_id}"):
        answer = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_id])
    found = answer.get("NetworkInterfaces", [])
    if not found:
        raise Ec2Failure(Failure.GONE, f"EC2 knows no interface {interface_id}.")
    return found[0].get("PrivateIpAddress", ""), {
        a.get("PrivateIpAddress", "") for a in found[0].get("PrivateIpAddresses", [])
    }


def _associate(ec2: EC2Client, given: contract.AddressesInput, eip: ElasticIp, primary: str, here: set[str]) -> None:
    """Each Elastic IP goes to the private address that it had, if that moved along, else to the new primary one.

    AssociateAddress is safe to repeat (EC2 user guide, "Ensuring idempotency").
    """
    follows = eip.private_ip in here and eip.private_ip != given.former_primary_ip
    with doing(f"moving Elastic IP {eip.public_ip} to {given.network_interface_id}"):
        ec2.associate_address(
            AllocationId=eip.allocation_id,
            NetworkInterfaceId=given.network_interface_id,
            PrivateIpAddress=eip.private_ip if follows else primary,
            AllowReassociation=True,
        )
