"""Volumes: detach, attach, make, keep, delete."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2 import describe
from activities.ec2.activity import ec2_activity, parallel, poll
from activities.ec2.clients import Clients
from activities.ec2.describe import TAG_TOKEN, tag_dict, tag_specification
from activities.ec2.errors import Ec2Failure, code_of, doing, is_missing, not_yet
from activities.ec2.launch_request import volume_settings
from domain import ec2 as contract
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import VolumeAttachmentTypeDef, VolumeTypeDef

_STATE_CODES = frozenset({"IncorrectState", "IncorrectInstanceState", "VolumeInUse"})


class Volumes:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @ec2_activity(contract.DETACH_VOLUMES)
    def detach(self, given: contract.AttachInput) -> contract.ActionResult:
        """Detach them and wait. Those that are free, detaching or elsewhere by now are left as they are."""
        ec2 = self._clients.ec2(given.region)
        now = describe.volumes(ec2, _ids(given))
        attached = [v for v in _ids(given) if _link(now[v], given.instance_id, "attached", "attaching", "busy")]
        parallel([functools.partial(_detach, ec2, volume, given.instance_id) for volume in attached])
        poll(lambda: _all_detached(ec2, given))
        return contract.ActionResult()

    @ec2_activity(contract.ATTACH_VOLUMES)
    def attach(self, given: contract.AttachInput) -> contract.ActionResult:
        """Attach them and wait. Those that are attached here already stay."""
        ec2 = self._clients.ec2(given.region)
        now = describe.volumes(ec2, _ids(given))
        todo = [a for a in given.attachments if not _is_there(now[a.volume_id], a, given.instance_id)]
        parallel([functools.partial(_attach, ec2, a, given.instance_id) for a in todo])
        poll(lambda: _all_attached(ec2, given))
        return contract.ActionResult()

    @ec2_activity(contract.VOLUMES_OF)
    def ending_with(self, given: contract.InstanceInput) -> contract.CreateResult:
        """Those attached with DeleteOnTermination: they must be gone once the instance is."""
        found = describe.instance(self._clients.ec2(given.region), given.instance_id)
        mappings = [m["Ebs"] for m in found.get("BlockDeviceMappings", []) if "Ebs" in m]
        return contract.CreateResult([ebs.get("VolumeId", "") for ebs in mappings if ebs.get("DeleteOnTermination")])

    @ec2_activity(contract.KEEP_VOLUMES)
    def keep(self, given: contract.VolumesInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        found = describe.instance(ec2, given.instance_id)
        mappings: list[Any] = [
            {
                "DeviceName": m.get("DeviceName", ""),
                "Ebs": {"VolumeId": m["Ebs"].get("VolumeId", ""), "DeleteOnTermination": False},
            }
            for m in found.get("BlockDeviceMappings", [])
            if "Ebs" in m and m["Ebs"].get("VolumeId") in given.volume_ids and m["Ebs"].get("DeleteOnTermination")
        ]
        if mappings:
            with doing(f"keeping volumes of {given.instance_id} from dying with it"):
                ec2.modify_instance_attribute(InstanceId=given.instance_id, BlockDeviceMappings=mappings)
        return contract.ActionResult()

    @ec2_activity(contract.CREATE_VOLUMES)
    def create(self, given: contract.CreateVolumesInput) -> contract.CreateResult:
        """CreateVolume has a ClientToken, but nothing searches by it: a tag is set to find the volumes again."""
        ec2 = self._clients.ec2(given.region)
        if given.find_only:
            return contract.CreateResult(_find(ec2, given))
        return contract.CreateResult(
            parallel([functools.partial(_create, ec2, given, index) for index in range(len(given.copies))])
        )

    @ec2_activity(contract.CONFIRM_VOLUMES)
    def confirm(self, given: contract.IdsInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        poll(lambda: _all_made(ec2, given.ids))
        return contract.ActionResult()

    @ec2_activity(contract.DELETE_VOLUMES)
    def delete(self, given: contract.IdsInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        parallel([functools.partial(_delete, ec2, volume_id) for volume_id in given.ids])
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [
            self.detach,
            self.attach,
            self.ending_with,
            self.keep,
            self.create,
            self.confirm,
            self.delete,
        ]


def _ids(given: contract.AttachInput) -> list[str]:
    return [a.volume_id for a in given.attachments]


def _link(volume: VolumeTypeDef, instance_id: str, *states: str) -> VolumeAttachmentTypeDef | None:
    """The volume's attachment to that instance, if in one of these states (any, when none is named)."""
    for link in volume.get("Attachments", []):
        if link.get("InstanceId") == instance_id and (not states or link.get("State") in states):
            return link
    return None


def _detach(ec2: EC2Client, volume_id: str, instance_id: str) -> None:
    with doing(f"detaching {volume_id} from {instance_id}"):
        try:
            ec2.detach_volume(VolumeId=volume_id, InstanceId=instance_id)
        except ClientError as error:
            # Another attempt was quicker, or the instance ended: waiting for it says which.
            now = describe.volumes(ec2, [volume_id])[volume_id] if code_of(error) == "IncorrectState" else None
            if now is None or _link(now, instance_id, "attached", "attaching", "busy"):
                raise


def _all_detached(ec2: EC2Client, given: contract.AttachInput) -> None:
    for volume_id, volume in describe.volumes(ec2, _ids(given)).items():
        link = _link(volume, given.instance_id)
        if link is not None and link.get("State") != "detached":
            busy = " Something on the host still uses it: stop it and unmount." if link.get("State") == "busy" else ""
            raise not_yet(f"{volume_id} is still {link.get('State')} at {given.instance_id}.{busy}")
        if link is None and volume.get("State") not in ("available", "in-use"):
            raise not_yet(f"{volume_id} is {volume.get('State')}.")


def _is_there(volume: VolumeTypeDef, wanted: contract.Attachment, instance_id: str) -> bool:
    """Whether it is attached (or attaching) here already. Raises when it cannot come here, or not yet."""
    for link in volume.get("Attachments", []):
        where, device, state = link.get("InstanceId"), link.get("Device"), link.get("State")
        if state == "detached":
            continue
        if state in ("detaching", "busy"):
            raise not_yet(f"{wanted.volume_id} is still {state} at {where}.")
        if where == instance_id and device == wanted.device:
            return True
        raise Ec2Failure(
            Failure.BAD_STATE,
            f"{wanted.volume_id} is {state} at {where} as {device}, wanted at {instance_id} as {wanted.device}. "
            "Detach it there first.",
        )
    if volume.get("State") == "creating":
        raise not_yet(f"{wanted.volume_id} is still being made.")
    return False


def _attach(ec2: EC2Client, wanted: contract.Attachment, instance_id: str) -> None:
    with doing(f"attaching {wanted.volume_id} to {instance_id} as {wanted.device}"):
        try:
            ec2.attach_volume(VolumeId=wanted.volume_id, InstanceId=instance_id, Device=wanted.device)
        except ClientError as error:
            if code_of(error) not in _STATE_CODES:
                raise
            _explain_refused_attach(ec2, wanted, instance_id, error)


def _explain_refused_attach(ec2: EC2Client, wanted: contract.Attachment, instance_id: str, error: ClientError) -> None:
    """Another attempt was quicker, or the instance does not run yet. Any other error is raised as it is."""
    now = describe.volumes(ec2, [wanted.volume_id])[wanted.volume_id]
    if _is_there(now, wanted, instance_id):
        return
    if describe.state(describe.instance(ec2, instance_id)) == "pending":
        raise not_yet(f"{instance_id} is still pending; {wanted.volume_id} waits for it.") from error
    raise error


def _all_attached(ec2: EC2Client, given: contract.AttachInput) -> None:
    now = describe.volumes(ec2, _ids(given))
    for wanted in given.attachments:
        if not _link(now[wanted.volume_id], given.instance_id, "attached"):
            states = [str(a.get("State")) for a in now[wanted.volume_id].get("Attachments", [])]
            if not states:
                raise Ec2Failure(
                    Failure.BAD_STATE,
                    f"{wanted.volume_id} is attached nowhere, so waiting for it at {given.instance_id} is in vain.",
                )
            raise not_yet(f"{wanted.volume_id} is {', '.join(states)}, not yet attached to {given.instance_id}.")


def _create(ec2: EC2Client, given: contract.CreateVolumesInput, index: int) -> str:
    copy = given.copies[index]
    settings = volume_settings(
        copy.volume_type, copy.size_gib, copy.iops, copy.throughput_mib_s, copy.encrypted, copy.kms_key_id
    )
    request: dict[str, Any] = {
        "AvailabilityZone": given.zone,
        "SnapshotId": copy.snapshot_id,
        "ClientToken": hashlib.sha256(_token(given, index).encode()).hexdigest(),
        "TagSpecifications": tag_specification("volume", copy.tags | given.tags | {TAG_TOKEN: _token(given, index)}),
        **settings,
    }
    with doing(f"making a volume from {copy.snapshot_id} in {given.zone}", missing=Failure.REFUSED):
        answer = ec2.create_volume(**{k: v for k, v in request.items() if v not in ("", [])})
    return answer["VolumeId"]


def _token(given: contract.CreateVolumesInput, index: int) -> str:
    return f"{given.token}/{index}"


def _find(ec2: EC2Client, given: contract.CreateVolumesInput) -> list[str]:
    tokens = [_token(given, index) for index in range(len(given.copies))]
    with doing("searching for volumes made before"):
        answer = ec2.describe_volumes(Filters=[{"Name": f"tag:{TAG_TOKEN}", "Values": tokens}])
    by_token = {tag_dict(v.get("Tags")).get(TAG_TOKEN, ""): v.get("VolumeId", "") for v in answer.get("Volumes", [])}
    return [by_token[token] for token in tokens if token in by_token]


def _all_made(ec2: EC2Client, volume_ids: list[str]) -> None:
    for volume_id, volume in describe.volumes(ec2, volume_ids, missing=Failure.NOT_YET).items():
        state = volume.get("State")
        if state in ("available", "in-use"):
            continue
        if state == "creating":
            raise not_yet(f"{volume_id} is still being made.")
        raise Ec2Failure(Failure.BAD_STATE, f"{volume_id} is {state} and will not become available. Make another.")


def _delete(ec2: EC2Client, volume_id: str) -> None:
    with doing(f"deleting volume {volume_id}"):
        try:
            ec2.delete_volume(VolumeId=volume_id)
        except ClientError as error:
            if not is_missing(error):
                raise
