"""Every AWS API action this control plane calls, by the name IAM knows it by.

`deploy/aws/iam-policy.json` grants exactly these; a test holds this table, the policy and the
calls in this package against each other.
"""

from __future__ import annotations

from collections.abc import Mapping

# API action -> IAM's name of the service. Each service's actions carry its own name but for these:
# Elastic Load Balancing v2 is `elasticloadbalancing`, Service Quotas is `servicequotas`.
SERVICES: Mapping[str, tuple[str, ...]] = {
    "ec2": (
        "AssignPrivateIpAddresses",
        "AssociateAddress",
        "AttachVolume",
        "CancelSpotInstanceRequests",
        "CreateSnapshot",
        "CreateTags",
        "CreateVolume",
        "DeleteSnapshot",
        "DeleteTags",
        "DeleteVolume",
        "DeregisterImage",
        "DescribeAddresses",
        "DescribeAvailabilityZones",
        "DescribeImages",
        "DescribeInstanceAttribute",
        "DescribeInstanceCreditSpecifications",
        "DescribeInstanceStatus",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeNetworkInterfaces",
        "DescribeSnapshots",
        "DescribeSpotInstanceRequests",
        "DescribeSpotPriceHistory",
        "DescribeSubnets",
        "DescribeVolumes",
        "DetachVolume",
        "GetSpotPlacementScores",
        "ModifyInstanceAttribute",
        "RunInstances",
        "TerminateInstances",
    ),
    "elasticloadbalancing": (
        "DeregisterTargets",
        "DescribeTargetGroups",
        "DescribeTargetHealth",
        "RegisterTargets",
    ),
    "pricing": ("GetProducts",),
    "servicequotas": ("GetServiceQuota",),
    "sqs": ("DeleteMessage", "ReceiveMessage"),
    "sts": ("GetCallerIdentity",),
}
# Not called by us: RunInstances needs it to give an instance its profile.
INDIRECT = frozenset({"iam:PassRole"})
# Allowed to every principal, so a policy need not name it (IAM user guide, STS).
ALWAYS_ALLOWED = frozenset({"sts:GetCallerIdentity"})

_SERVICE_OF = {action: service for service, actions in SERVICES.items() for action in actions}


def iam_action(action: str) -> str:
    """`RunInstances` -> `ec2:RunInstances`."""
    return f"{_SERVICE_OF.get(action, 'ec2')}:{action}"


def all_iam_actions() -> frozenset[str]:
    return frozenset(f"{service}:{action}" for action, service in _SERVICE_OF.items())
