"""Tags of what the lab owns; the tags of networks and the like are moto's."""

from __future__ import annotations

from typing import Any

from lab.ec2.calls import ActionResponse, action
from lab.ec2.errors import Ec2Error
from lab.ec2.filters import page, select
from lab.ec2.records import Params
from lab.ec2.world import World

OWNED = ("i-", "vol-", "snap-", "ami-", "eni-", "eipalloc-", "sir-")
MOST = 50


def _resources(world: World, params: Params) -> list[Any] | None:
    """None: not the lab's, so moto answers."""
    ids = [str(r) for r in params.get("Resources") or ()]
    if not any(i.startswith(OWNED) for i in ids):
        return None
    found = []
    for resource_id in ids:
        resource = world.resource(resource_id)
        if resource is None:
            raise Ec2Error("InvalidID", f"The ID '{resource_id}' is not valid")
        found.append(resource)
    return found


@action("CreateTags")
def create_tags(world: World, params: Params) -> ActionResponse | None:
    found = _resources(world, params)
    if found is None:
        return None
    for tag in params.get("Tags") or ():
        if str(tag.get("Key", "")).startswith("aws:"):
            raise Ec2Error("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
    new = {str(t["Key"]): str(t.get("Value") or "") for t in params.get("Tags") or ()}
    for resource in found:
        if len({**resource.tags, **new}) > MOST:
            raise Ec2Error("TagLimitExceeded", f"The maximum number of tags for {resource.id} has been reached.")
    for resource in found:
        resource.tags.update(new)
    return {}


@action("DeleteTags")
def delete_tags(world: World, params: Params) -> ActionResponse | None:
    found = _resources(world, params)
    if found is None:
        return None
    for resource in found:
        for tag in params.get("Tags") or [{"Key": key} for key in list(resource.tags)]:
            if "Value" not in tag or resource.tags.get(tag["Key"]) == tag["Value"]:
                resource.tags.pop(tag["Key"], None)
    return {}


PATHS = {"key": "Key", "value": "Value", "resource-id": "ResourceId", "resource-type": "ResourceType"}


@action("DescribeTags")
def describe_tags(world: World, params: Params) -> ActionResponse:
    kinds = (
        ("instance", world.instances),
        ("volume", world.volumes),
        ("snapshot", world.snapshots),
        ("image", world.images),
        ("network-interface", world.interfaces),
        ("elastic-ip", world.addresses),
        ("spot-instances-request", world.spot_requests),
    )
    rows = [
        {"ResourceId": resource_id, "ResourceType": kind, "Key": key, "Value": value}
        for kind, resources in kinds
        for resource_id, resource in resources.items()
        for key, value in resource.tags.items()
    ]
    paged, token = page(select(rows, params.get("Filters"), PATHS), params)
    return {"Tags": paged, "NextToken": token}
