"""What an instance can read about itself: IMDS paths and their values."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lab.hosts.identity import identity_document

DYNAMIC = "dynamic/instance-identity/"


@dataclass(frozen=True)
class Notices:
    """What AWS has said to the instance so far."""

    action: str | None = None  # terminate, stop, hibernate
    action_at: datetime | None = None
    rebalance_at: datetime | None = None

    def with_action(self, action: str | None, at: datetime | None) -> Notices:
        return replace(self, action=action, action_at=at)


def notice_paths(notices: Notices) -> dict[str, str]:
    """The paths that are 404 until there is a notice."""
    paths = {}
    if notices.action is not None and notices.action_at is not None:
        at = _stamp(notices.action_at)
        paths["meta-data/spot/instance-action"] = json.dumps({"action": notices.action, "time": at})
        if notices.action == "terminate":
            paths["meta-data/spot/termination-time"] = at
    if notices.rebalance_at is not None:
        notice = json.dumps({"noticeTime": _stamp(notices.rebalance_at)})
        paths["meta-data/events/recommendations/rebalance"] = notice
    return paths


def fact_paths(facts: Mapping[str, object], sign: Callable[[str], str]) -> dict[str, str]:
    """Every other path. `facts`: keys as in the identity document, and lifecycle, userData, tags,
    networkInterfaces, metadataOptions."""
    document = identity_document(facts)
    ip = str(facts.get("privateIp", ""))
    paths = {
        "meta-data/ami-id": str(facts.get("imageId", "")),
        "meta-data/instance-id": str(facts.get("instanceId", "")),
        "meta-data/instance-life-cycle": str(facts.get("lifecycle") or "on-demand"),
        "meta-data/instance-type": str(facts.get("instanceType", "")),
        "meta-data/local-ipv4": ip,
        "meta-data/local-hostname": f"ip-{ip.replace('.', '-')}.ec2.internal",
        "meta-data/hostname": f"ip-{ip.replace('.', '-')}.ec2.internal",
        "meta-data/placement/availability-zone": str(facts.get("availabilityZone", "")),
        "meta-data/placement/region": str(facts.get("region", "")),
        DYNAMIC + "document": document,
        DYNAMIC + "signature": sign(document),
    }
    if facts.get("userData"):
        paths["user-data"] = str(facts["userData"])
    return paths | _network_paths(facts.get("networkInterfaces")) | _tag_paths(facts)


def listing(paths: Mapping[str, str], prefix: str) -> str | None:
    """The names directly beneath a prefix, directories with a slash; None when there are none."""
    base = prefix.rstrip("/") + "/"
    below = [path[len(base) :] for path in paths if path.startswith(base)]
    names = {first + slash for first, slash, _ in (rest.partition("/") for rest in below)}
    return "\n".join(sorted(names)) or None


def _network_paths(interfaces: object) -> dict[str, str]:
    paths: dict[str, str] = {}
    for number, interface in enumerate(interfaces if isinstance(interfaces, list) else []):
        mac = str(interface.get("mac", ""))
        base = f"meta-data/network/interfaces/macs/{mac}/"
        paths[base + "device-number"] = str(interface.get("deviceIndex", number))
        paths[base + "local-ipv4s"] = "\n".join(interface.get("privateIps") or [])
        paths[base + "subnet-id"] = str(interface.get("subnetId", ""))
        if interface.get("id"):
            paths[base + "interface-id"] = str(interface["id"])
        if number == 0:
            paths["meta-data/mac"] = mac
    return paths


def _tag_paths(facts: Mapping[str, object]) -> dict[str, str]:
    options, tags = facts.get("metadataOptions"), facts.get("tags")
    if not isinstance(options, Mapping) or not isinstance(tags, Mapping):
        return {}
    if options.get("InstanceMetadataTags") != "enabled":
        return {}
    return {f"meta-data/tags/instance/{key}": str(value) for key, value in tags.items()}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
