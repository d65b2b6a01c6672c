"""Removal of what reconciliation found to be of no use. Gone already is as good as removed."""

from __future__ import annotations

from botocore.exceptions import ClientError

from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure, doing, is_missing
from domain.errors import Failure
from domain.reconciliation.facts import ResourceKind


class Removal:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def remove(self, region: str, kind: ResourceKind, resource_id: str) -> None:
        """Raises `Ec2Failure`. Termination protection stays: whoever set it wanted the instance to stay."""
        with doing(f"removing {kind.value} {resource_id}"):
            try:
                self._remove(region, kind, resource_id)
            except ClientError as error:
                if not is_missing(error):
                    raise

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
