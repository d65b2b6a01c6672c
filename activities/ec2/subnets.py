"""Which subnet to launch in, for each zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from domain.blueprint import Blueprint
from domain.servers import ServerPolicy


def subnet_by_zone(
    subnets: Sequence[Mapping[str, Any]], old: Blueprint, policy: ServerPolicy
) -> tuple[dict[str, str], dict[str, str]]:
    """(zone -> subnet, zone -> why none can be used).

    First choice is the policy's subnet, then the instance's own. Else it is the one with most free addresses among
    those that give public addresses as the instance's own does, if there are any.
    """
    chosen: dict[str, str] = {}
    closed: dict[str, str] = {}
    for zone in sorted({s["AvailabilityZone"] for s in subnets} | set(policy.subnets)):
        here = [s for s in subnets if s["AvailabilityZone"] == zone]
        subnet_id, why = _choose(here, zone, old, policy.subnets.get(zone, ""), _publishes(subnets, old))
        if why:
            closed[zone] = why
        else:
            chosen[zone] = subnet_id
    return chosen, closed


def _publishes(subnets: Sequence[Mapping[str, Any]], old: Blueprint) -> bool | None:
    own = [s for s in subnets if s["SubnetId"] == old.subnet_id]
    return bool(own[0].get("MapPublicIpOnLaunch", False)) if own else None


def _choose(
    here: Sequence[Mapping[str, Any]], zone: str, old: Blueprint, named: str, publishes: bool | None
) -> tuple[str, str]:
    if named:
        return _named(here, zone, named)
    free = [s for s in here if s.get("AvailableIpAddressCount", 1) > 0 and s.get("State", "available") == "available"]
    if not free:
        return "", f"no subnet in {zone} has a free address: {', '.join(s['SubnetId'] for s in here)}"

    def order(subnet: Mapping[str, Any]) -> tuple[bool, bool, int, str]:
        stranger = publishes is not None and bool(subnet.get("MapPublicIpOnLaunch", False)) != publishes
        free_addresses = int(subnet.get("AvailableIpAddressCount", 0))
        return subnet["SubnetId"] != old.subnet_id, stranger, -free_addresses, subnet["SubnetId"]

    return str(min(free, key=order)["SubnetId"]), ""


def _named(here: Sequence[Mapping[str, Any]], zone: str, named: str) -> tuple[str, str]:
    found = next((s for s in here if s["SubnetId"] == named), None)
    if found is None:
        return "", f"the policy's subnet {named} is not one of the server's VPC in {zone}"
    if found.get("AvailableIpAddressCount", 1) < 1:
        return "", f"the policy's subnet {named} has no free address"
    return named, ""
