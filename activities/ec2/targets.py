"""Target groups: who receives traffic."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2.activity import ec2_activity, parallel, poll
from activities.ec2.clients import Clients
from activities.ec2.errors import doing, is_missing, not_yet
from domain import ec2 as contract
from domain.blueprint import Target

if TYPE_CHECKING:
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_elbv2.type_defs import TargetDescriptionTypeDef


class Targets:
    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @ec2_activity(contract.REGISTER_TARGETS)
    def register(self, given: contract.TargetsInput) -> contract.ActionResult:
        elb = self._clients.elbv2(given.region)

        def register(group: str, targets: list[TargetDescriptionTypeDef]) -> None:
            with doing(f"registering {given.instance_id} with {group}"):
                elb.register_targets(TargetGroupArn=group, Targets=targets)

        parallel([functools.partial(register, group, targets) for group, targets in _by_group(given).items()])
        return contract.ActionResult()

    @ec2_activity(contract.CONFIRM_TARGETS)
    def confirm_healthy(self, given: contract.TargetsInput) -> contract.ActionResult:
        elb = self._clients.elbv2(given.region)
        poll(lambda: _all_healthy(elb, given))
        return contract.ActionResult()

    @ec2_activity(contract.DEREGISTER_TARGETS)
    def deregister(self, given: contract.TargetsInput) -> contract.ActionResult:
        elb = self._clients.elbv2(given.region)

        def deregister(group: str, targets: list[TargetDescriptionTypeDef]) -> None:
            with doing(f"deregistering {given.instance_id} from {group}"):
                try:
                    elb.deregister_targets(TargetGroupArn=group, Targets=targets)
                except ClientError as error:
                    if not is_missing(error):  # a group that was deleted sends nobody traffic
                        raise

        parallel([functools.partial(deregister, group, targets) for group, targets in _by_group(given).items()])
        return contract.ActionResult()

    @ec2_activity(contract.CONFIRM_DRAINED)
    def confirm_drained(self, given: contract.TargetsInput) -> contract.ActionResult:
        elb = self._clients.elbv2(given.region)
        poll(lambda: _all_drained(elb, given))
        return contract.ActionResult()

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.register, self.confirm_healthy, self.deregister, self.confirm_drained]


def _target_id(target: Target, given: contract.TargetsInput) -> str:
    return given.private_ip if target.by_ip else given.instance_id


def _by_group(given: contract.TargetsInput) -> dict[str, list[TargetDescriptionTypeDef]]:
    groups: dict[str, list[TargetDescriptionTypeDef]] = {}
    for target in given.targets:
        entry: TargetDescriptionTypeDef = {"Id": _target_id(target, given), "Port": target.port}
        groups.setdefault(target.target_group_arn, []).append(entry)
    return groups


def _states(
    elb: ElasticLoadBalancingv2Client, given: contract.TargetsInput, *, deleted_is_empty: bool = False
) -> dict[Target, tuple[str, str]]:
    """State and reason of each target. One that the group does not list is `unused`."""
    groups = list(_by_group(given))

    def health(group: str) -> dict[tuple[str, int], tuple[str, str]]:
        with doing(f"reading the health of {group}"):
            try:
                answer = elb.describe_target_health(TargetGroupArn=group)
            except ClientError as error:
                if deleted_is_empty and is_missing(error):
                    return {}
                raise
        return {
            (d.get("Target", {}).get("Id", ""), d.get("Target", {}).get("Port", 0)): (
                d.get("TargetHealth", {}).get("State", ""),
                f"{d.get('TargetHealth', {}).get('Reason', '')} {d.get('TargetHealth', {}).get('Description', '')}",
            )
            for d in answer.get("TargetHealthDescriptions", [])
        }

    listed = dict(zip(groups, parallel([functools.partial(health, group) for group in groups]), strict=True))
    return {
        t: listed[t.target_group_arn].get((_target_id(t, given), t.port), ("unused", "Target.NotRegistered"))
        for t in given.targets
    }


def _all_healthy(elb: ElasticLoadBalancingv2Client, given: contract.TargetsInput) -> None:
    """A target that is `unused` for lack of a listener or zone (Target.NotInUse) is waited for like any other state."""
    for target, (state, reason) in _states(elb, given).items():
        if state != "healthy":
            raise not_yet(f"{given.instance_id} is {state} in {target.target_group_arn}: {reason.strip()}.")


def _all_drained(elb: ElasticLoadBalancingv2Client, given: contract.TargetsInput) -> None:
    for target, (state, _) in _states(elb, given, deleted_is_empty=True).items():
        if state != "unused":
            raise not_yet(f"{given.instance_id} is still {state} in {target.target_group_arn}.")
