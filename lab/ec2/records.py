"""What the lab records about each resource."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
ACCOUNT = "123456789012"

Params = Mapping[str, Any]


def new_id(prefix: str) -> str:
    return f"{prefix}-0{secrets.token_hex(8)}"


def utc(epoch: float) -> datetime:
    return datetime.fromtimestamp(epoch, UTC)


@dataclass
class Instance:
    id: str
    reservation_id: str
    token: str
    index: int
    params: Params  # of RunInstances, as they came
    image_id: str
    instance_type: str
    architecture: str
    zone: str
    subnet_id: str
    lifecycle: str  # "spot" or "on-demand"
    groups: list[str]
    visible_at: float  # before it, describes do not know the instance
    state: str = "pending"
    spot_request_id: str | None = None
    launched: float = field(default_factory=time.time)
    ok_at: float | None = None  # when status checks pass; None while not running
    impaired: bool = False
    state_version: int = 0  # counts state changes, so that a timer of an earlier state does nothing
    transition_reason: str = ""
    state_reason: tuple[str, str] | None = None  # code, message
    attributes: dict[str, Any] = field(default_factory=dict)
    metadata_options: dict[str, Any] = field(default_factory=dict)
    notice: tuple[str, float] | None = None  # action, when
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def alive(self) -> bool:
        return self.state not in ("shutting-down", "terminated")


@dataclass
class VolumeAttachment:
    instance_id: str
    device: str
    state: str
    delete_on_termination: bool
    at: float = field(default_factory=time.time)


@dataclass
class Volume:
    id: str
    zone: str
    size: int
    volume_type: str
    iops: int | None = None
    throughput: int | None = None
    encrypted: bool = False
    kms_key_id: str | None = None
    snapshot_id: str | None = None
    root: bool = False  # attached as its instance's root device
    state: str = "creating"
    attachment: VolumeAttachment | None = None
    created: float = field(default_factory=time.time)
    snapshots_taken: int = 0
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Snapshot:
    id: str
    volume_id: str
    size: int
    description: str = ""
    encrypted: bool = False
    kms_key_id: str | None = None
    state: str = "pending"
    started: float = field(default_factory=time.time)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Image:
    id: str
    name: str
    architecture: str
    root_device_type: str = "ebs"
    root_device_name: str = "/dev/xvda"
    description: str = ""
    state: str = "available"
    mappings: list[dict[str, Any]] = field(default_factory=list)
    created: float = field(default_factory=time.time)
    source_instance_id: str | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class InterfaceAttachment:
    id: str
    instance_id: str
    index: int
    delete_on_termination: bool
    state: str = "attached"
    at: float = field(default_factory=time.time)


@dataclass
class Interface:
    id: str
    subnet_id: str
    zone: str
    private_ip: str
    groups: list[str]
    mac: str
    secondary: list[str] = field(default_factory=list)
    description: str = ""
    source_dest_check: bool = True
    attachment: InterfaceAttachment | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> list[str]:
        return [self.private_ip, *self.secondary]


@dataclass
class Address:
    allocation_id: str
    public_ip: str
    association_id: str | None = None
    interface_id: str | None = None
    private_ip: str | None = None
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return self.allocation_id


@dataclass
class SpotRequest:
    id: str
    kind: str  # "one-time" or "persistent"
    params: Params
    zone: str
    instance_type: str
    max_price: float
    state: str = "active"
    code: str = "fulfilled"
    message: str = "Your spot request is fulfilled."
    instance_id: str | None = None
    interruption: str = "terminate"
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    tags: dict[str, str] = field(default_factory=dict)

    def become(self, state: str, code: str, message: str) -> None:
        self.state, self.code, self.message, self.updated = state, code, message, time.time()


def api_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def tags_for(params: Params, resource_type: str) -> dict[str, str]:
    """Tags that a call's TagSpecifications give to resources of this type."""
    return {
        tag["Key"]: tag.get("Value", "")
        for one in params.get("TagSpecifications") or ()
        if one.get("ResourceType") == resource_type
        for tag in one.get("Tags") or ()
    }
