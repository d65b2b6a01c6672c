"""Attributes that RunInstances cannot set, or may not set before the switch has committed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from activities.ec2 import describe
from activities.ec2.activity import ec2_activity
from activities.ec2.clients import Clients
from activities.ec2.describe import TAG_PROTECT, tag_list
from activities.ec2.errors import doing
from domain import ec2 as contract
from domain.blueprint import Blueprint

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


class AttributeMatch:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @ec2_activity(contract.MATCH_ATTRIBUTES)
    def match(self, given: contract.MatchAttributesInput) -> contract.ActionResult:
        """Source/destination check at once; protection when `protection` asks for it, after the commit.

        Before the commit a rollback must be able to terminate the replacement.
        """
        ec2, old = self._clients.ec2(given.region), given.blueprint
        if not old.source_dest_check:
            with doing(f"switching off the source/destination check of {given.instance_id}"):
                ec2.modify_instance_attribute(InstanceId=given.instance_id, SourceDestCheck={"Value": False})
        if given.protection and (old.termination_protection or old.stop_protection):
            _protect(ec2, given.instance_id, old)
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.match]


def _protect(ec2: EC2Client, instance_id: str, old: Blueprint) -> None:
    """EC2 protects no spot instance (user guide, "Termination protection").

    There a tag keeps the server's protection, so that a later move to on-demand restores it.
    """
    with doing(f"protecting {instance_id} as its predecessor was"):
        if describe.instance(ec2, instance_id).get("InstanceLifecycle") == "spot":
            wanted = [("terminate", old.termination_protection), ("stop", old.stop_protection)]
            value = "+".join(name for name, on in wanted if on)
            ec2.create_tags(Resources=[instance_id], Tags=tag_list({TAG_PROTECT: value}))
            return
        if old.termination_protection:
            ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": True})
        if old.stop_protection:
            ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiStop={"Value": True})
