"""Resources of ours in EC2: listed by our tags and by the IDs of the ledger, and removed when they are of no use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2 import describe
from activities.ec2.clients import Clients
from activities.ec2.describe import TAG_TOKEN, tag_dict
from activities.ec2.errors import Ec2Failure, doing, is_missing
from domain.errors import Failure
from domain.names import TAG_CLIENT, TAG_OPERATION, TAG_SERVER
from domain.reconciliation.facts import FoundResource, ResourceKind

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef, PaginatorConfigTypeDef

# Without MaxResults EC2 may throttle a large account, or not answer in time (EC2 developer guide, "Pagination").
# What each of these calls takes: DescribeVolumes no more than 500.
_PAGE: PaginatorConfigTypeDef = {"PageSize": 500}
_AT_ONCE = 100  # values of a filter: EC2 takes up to 200
_TAGGED: list[FilterTypeDef] = [{"Name": "tag-key", "Values": [TAG_SERVER]}]
_K = ResourceKind


class ResourceListing:
    """Reads; changes nothing. Every method raises `Ec2Failure`."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._ask: Mapping[ResourceKind, Callable[[str, list[FilterTypeDef]], Iterator[FoundResource]]] = {
            _K.INSTANCE: self._instances,
            _K.VOLUME: self._volumes,
            _K.SNAPSHOT: self._snapshots,
            _K.IMAGE: self._images,
            _K.ADDRESS: self._addresses,
            _K.SPOT_REQUEST: self._spot_requests,
        }

    def tagged(self, region: str, kind: ResourceKind) -> list[FoundResource]:
        with doing(f"listing what carries our tags in {region}: {kind.value}s"):
            return list(self._ask[kind](region, _TAGGED))

    def by_id(self, region: str, kind: ResourceKind, ids: Collection[str]) -> list[FoundResource]:
        """Asked by filter: an ID that EC2 does not know (any more) is no error, it is absent."""
        wanted, found = sorted(ids), list[FoundResource]()
        with doing(f"looking for {len(wanted)} {kind.value}s of the ledger in {region}"):
            for at in range(0, len(wanted), _AT_ONCE):
                chosen: list[FilterTypeDef] = [{"Name": _ID_FILTERS[kind], "Values": wanted[at : at + _AT_ONCE]}]
                found += self._ask[kind](region, chosen)
        return found

    def impaired(self, region: str, instance_ids: Collection[str]) -> set[str]:
        """Those that run and whose status checks fail."""
        wanted, found = sorted(instance_ids), set[str]()
        with doing(f"reading the status checks of {len(wanted)} silent instances"):
            for at in range(0, len(wanted), _AT_ONCE):
                answer = self._clients.ec2(region).describe_instance_status(InstanceIds=wanted[at : at + _AT_ONCE])
                found |= {
                    status.get("InstanceId", "")
                    for status in answer.get("InstanceStatuses", [])
                    if "impaired" in (_check(status, "SystemStatus"), _check(status, "InstanceStatus"))
                }
        return found

    def knows(self, region: str, instance_id: str) -> FoundResource | None:
        """One instance, by its ID: the most current answer that EC2 gives."""
        try:
            return _instance(describe.instance(self._clients.ec2(region), instance_id))
        except Ec2Failure as failed:
            if failed.failure is Failure.GONE:
                return None
            raise

    def _instances(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        pages = (
            self._clients.ec2(region)
            .get_paginator("describe_instances")
            .paginate(Filters=filters, PaginationConfig=_PAGE)
        )
        for page in pages:
            for reservation in page.get("Reservations", []):
                yield from map(_instance, reservation.get("Instances", []))

    def _volumes(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        pages = (
            self._clients.ec2(region)
            .get_paginator("describe_volumes")
            .paginate(Filters=filters, PaginationConfig=_PAGE)
        )
        for page in pages:
            yield from map(_volume, page.get("Volumes", []))

    def _snapshots(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        snapshots = self._clients.ec2(region).get_paginator("describe_snapshots")
        for page in snapshots.paginate(OwnerIds=["self"], Filters=filters, PaginationConfig=_PAGE):
            yield from map(_snapshot, page.get("Snapshots", []))

    def _images(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        images = self._clients.ec2(region).get_paginator("describe_images")
        for page in images.paginate(Owners=["self"], Filters=filters, PaginationConfig=_PAGE):
            yield from map(_image, page.get("Images", []))

    def _addresses(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        answer = self._clients.ec2(region).describe_addresses(Filters=filters)  # has no pages
        yield from map(_address, answer.get("Addresses", []))

    def _spot_requests(self, region: str, filters: list[FilterTypeDef]) -> Iterator[FoundResource]:
        requests = self._clients.ec2(region).get_paginator("describe_spot_instance_requests")
        for page in requests.paginate(Filters=filters, PaginationConfig=_PAGE):
            yield from map(_spot_request, page.get("SpotInstanceRequests", []))


_ID_FILTERS: Mapping[ResourceKind, str] = {
    _K.INSTANCE: "instance-id",
    _K.VOLUME: "volume-id",
    _K.SNAPSHOT: "snapshot-id",
    _K.IMAGE: "image-id",
    _K.ADDRESS: "allocation-id",
    _K.SPOT_REQUEST: "spot-instance-request-id",
}


def _found(kind: ResourceKind, resource_id: str, state: object, one: Mapping[str, Any]) -> FoundResource:
    tags = tag_dict(one.get("Tags"))
    return FoundResource(
        kind,
        resource_id,
        str(state),
        client_id=tags.get(TAG_CLIENT, ""),
        server_id=tags.get(TAG_SERVER, ""),
        operation_id=tags.get(TAG_OPERATION, ""),
        token=tags.get(TAG_TOKEN, ""),
    )


def _instance(one: Mapping[str, Any]) -> FoundResource:
    root = one.get("RootDeviceName", "")
    mapped = [
        (m.get("DeviceName", ""), m["Ebs"].get("VolumeId", ""))
        for m in one.get("BlockDeviceMappings", [])
        if "Ebs" in m
    ]
    reason = one.get("StateReason", {})
    why = ": ".join(part for part in (reason.get("Code", ""), reason.get("Message", "")) if part)
    return replace(
        _found(_K.INSTANCE, one.get("InstanceId", ""), one.get("State", {}).get("Name", ""), one),
        token=one.get("ClientToken", ""),
        made_at=one.get("LaunchTime"),
        data_volumes=tuple(sorted(volume for device, volume in mapped if device != root)),
        image_id=one.get("ImageId", ""),
        why=why or one.get("StateTransitionReason", ""),
    )


def _volume(one: Mapping[str, Any]) -> FoundResource:
    held = [link for link in one.get("Attachments", []) if link.get("State") != "detached"]
    return replace(
        _found(_K.VOLUME, one.get("VolumeId", ""), one.get("State", ""), one),
        made_at=one.get("CreateTime"),
        attached_to=held[0].get("InstanceId", "") if held else "",
        made_of=one.get("SnapshotId", ""),
    )


def _snapshot(one: Mapping[str, Any]) -> FoundResource:
    found = _found(_K.SNAPSHOT, one.get("SnapshotId", ""), one.get("State", ""), one)
    return replace(found, made_at=one.get("StartTime"), made_of=one.get("VolumeId", ""))


def _image(one: Mapping[str, Any]) -> FoundResource:
    made = one.get("CreationDate", "")
    at = datetime.fromisoformat(made.replace("Z", "+00:00")) if made else None
    return replace(_found(_K.IMAGE, one.get("ImageId", ""), one.get("State", ""), one), made_at=at)


def _address(one: Mapping[str, Any]) -> FoundResource:
    found = _found(_K.ADDRESS, one.get("AllocationId", ""), "allocated", one)
    return replace(found, attached_to=one.get("InstanceId", ""))


def _spot_request(one: Mapping[str, Any]) -> FoundResource:
    status = one.get("Status", {})
    found = _found(_K.SPOT_REQUEST, one.get("SpotInstanceRequestId", ""), one.get("State", ""), one)
    return replace(found, made_at=one.get("CreateTime"), why=status.get("Code", ""))


def _check(status: Mapping[str, Any], name: str) -> str:
    return str(status.get(name, {}).get("Status", ""))


class Removal:
    """What is gone already counts as removed."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def remove(self, region: str, kind: ResourceKind, resource_id: str, token: str) -> None:
        """`token`: of our call that made it, from the ledger. Without one nothing is removed; and EC2 has to say that
        an instance was launched with it.

        Raises `Ec2Failure`. Termination protection is not taken off: somebody set it to keep the instance.
        """
        with doing(f"removing {kind.value} {resource_id}"):
            if not token:
                raise Ec2Failure(Failure.REFUSED, f"nothing proves that we made {resource_id}; it stays.")
            try:
                self._check_launched_by(region, kind, resource_id, token)
                self._remove(region, kind, resource_id)
            except ClientError as error:
                if not is_missing(error):
                    raise

    def _check_launched_by(self, region: str, kind: ResourceKind, resource_id: str, token: str) -> None:
        if kind is not ResourceKind.INSTANCE:
            return
        try:
            launched_with = describe.instance(self._clients.ec2(region), resource_id).get("ClientToken", "")
        except Ec2Failure as failed:
            if failed.failure is Failure.GONE:
                return
            raise
        if launched_with != token:
            raise Ec2Failure(
                Failure.REFUSED, f"{resource_id} was launched with another token than the ledger's; it stays."
            )

    def _remove(self, region: str, kind: ResourceKind, resource_id: str) -> None:
        ec2 = self._clients.ec2(region)
        match kind:
            case ResourceKind.INSTANCE:
                ec2.terminate_instances(InstanceIds=[resource_id])
            case ResourceKind.VOLUME:
                ec2.delete_volume(VolumeId=resource_id)
            case ResourceKind.SNAPSHOT:
                ec2.delete_snapshot(SnapshotId=resource_id)
            case ResourceKind.IMAGE:
                ec2.deregister_image(ImageId=resource_id)
            case _:
                raise Ec2Failure(Failure.REFUSED, f"a {kind.value} is never removed; {resource_id} stays.")
