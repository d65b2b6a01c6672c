"""Tags as a dict, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_ec2.literals import ResourceTypeType
    from mypy_boto3_ec2.type_defs import TagSpecificationTypeDef, TagTypeDef

OWN_PREFIX = "spot-optimizer:"
AWS_PREFIX = "aws:"  # reserved: nobody can set them, so they cannot be carried over
TAG_TOKEN = "spot-optimizer:token"  # noqa: S105  on snapshots, whose creation has no ClientToken
TAG_PROTECT = "spot-optimizer:protect"  # on spot instances: the protections to restore on on-demand


def as_dict(tags: Iterable[TagTypeDef] | None) -> dict[str, str]:
    return {tag.get("Key", ""): tag.get("Value", "") for tag in tags or ()}


def as_list(tags: Mapping[str, str]) -> list[TagTypeDef]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def customer_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """The owner's: what a replacement must carry too."""
    return {k: v for k, v in tags.items() if not k.startswith((OWN_PREFIX, AWS_PREFIX))}


def ownership_tags_of(tags: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in tags.items() if k.startswith(OWN_PREFIX)}


def specification(resource: ResourceTypeType, tags: Mapping[str, str]) -> list[TagSpecificationTypeDef]:
    """TagSpecifications for one kind of resource; empty when there is nothing to say."""
    return [{"ResourceType": resource, "Tags": as_list(tags)}] if tags else []
