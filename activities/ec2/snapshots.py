"""Snapshots: make (once), confirm, delete."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2.activity import ec2_activity, parallel, poll
from activities.ec2.clients import Clients
from activities.ec2.describe import TAG_TOKEN, tag_dict, tag_specification
from activities.ec2.errors import Ec2Failure, doing, is_missing, not_yet
from domain import ec2 as contract
from domain.errors import Failure

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class Snapshots:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @ec2_activity(contract.CREATE_SNAPSHOTS)
    def create(self, given: contract.SnapshotInput) -> contract.CreateResult:
        """CreateSnapshot has no ClientToken: instead, a tag that is set with the creation is searched for."""
        tokens = [f"{given.token}/{index}" for index in range(len(given.volume_ids))]
        known = _by_token(self._clients.ec2(given.region), tokens)
        once = self._clients.ec2_once(given.region)
        make = [
            functools.partial(_create, once, given, volume_id, token)
            for volume_id, token in zip(given.volume_ids, tokens, strict=True)
            if token not in known
        ]
        known |= dict(parallel(make)) if not given.find_only else {}
        return contract.CreateResult([known[token] for token in tokens if token in known])

    @ec2_activity(contract.CONFIRM_SNAPSHOTS)
    def confirm(self, given: contract.IdsInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        poll(lambda: _all_completed(ec2, given.ids))
        return contract.ActionResult()

    @ec2_activity(contract.DELETE_SNAPSHOTS)
    def delete(self, given: contract.IdsInput) -> contract.ActionResult:
        ec2 = self._clients.ec2(given.region)
        parallel([functools.partial(_delete, ec2, snapshot_id) for snapshot_id in given.ids])
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.create, self.confirm, self.delete]


def _by_token(ec2: EC2Client, tokens: list[str]) -> dict[str, str]:
    """Token -> snapshot that has it. One that ended in error does not count."""
    if not tokens:
        return {}
    with doing("searching for snapshots made before"):
        answer = ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": f"tag:{TAG_TOKEN}", "Values": tokens}])
    return {
        tag_dict(s.get("Tags")).get(TAG_TOKEN, ""): s.get("SnapshotId", "")
        for s in answer.get("Snapshots", [])
        if s.get("State") != "error"
    }


def _create(ec2: EC2Client, given: contract.SnapshotInput, volume_id: str, token: str) -> tuple[str, str]:
    with doing(f"making a snapshot of {volume_id}"):
        answer = ec2.create_snapshot(
            VolumeId=volume_id,
            Description=given.description,
            TagSpecifications=tag_specification("snapshot", given.tags | {TAG_TOKEN: token}),
        )
    return token, answer["SnapshotId"]


def _all_completed(ec2: EC2Client, snapshot_ids: list[str]) -> None:
    if not snapshot_ids:
        return
    with doing(f"looking at snapshots {', '.join(snapshot_ids)}", missing=Failure.NOT_YET):
        answer = ec2.describe_snapshots(SnapshotIds=snapshot_ids)
    states = {s.get("SnapshotId", ""): s for s in answer.get("Snapshots", [])}
    for snapshot_id in snapshot_ids:
        snapshot = states.get(snapshot_id)
        if snapshot is None or snapshot.get("State") == "pending":
            raise not_yet(f"{snapshot_id} is at {snapshot.get('Progress', '') if snapshot else 'nothing'}.")
        if snapshot.get("State") != "completed":
            words = f"{snapshot.get('State')}: {snapshot.get('StateMessage', '')}"
            raise Ec2Failure(Failure.BAD_STATE, f"{snapshot_id} is in {words}. Make another.")


def _delete(ec2: EC2Client, snapshot_id: str) -> None:
    with doing(f"deleting snapshot {snapshot_id}"):
        try:
            ec2.delete_snapshot(SnapshotId=snapshot_id)
        except ClientError as error:
            if not is_missing(error):
                raise
