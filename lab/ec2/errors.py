"""Errors with the codes and messages of EC2.

Ec2Error
└── DryRunSucceeded   the call would have worked (HTTP 412)
"""

from __future__ import annotations


class Ec2Error(Exception):
    """An error answer: `code` is what clients branch on, `status` decides whether they retry."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class DryRunSucceeded(Ec2Error):
    def __init__(self) -> None:
        super().__init__("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)


def not_found(code: str, noun: str, resource_id: str) -> Ec2Error:
    return Ec2Error(code, f"The {noun} '{resource_id}' does not exist")


def invalid_value(message: str) -> Ec2Error:
    return Ec2Error("InvalidParameterValue", message)


def missing(parameter: str) -> Ec2Error:
    return Ec2Error("MissingParameter", f"The request must contain the parameter {parameter}")


def combination(message: str) -> Ec2Error:
    return Ec2Error("InvalidParameterCombination", message)


def incorrect_state(instance_id: str) -> Ec2Error:
    return Ec2Error(
        "IncorrectInstanceState",
        f"The instance '{instance_id}' is not in a state from which the requested operation can be performed.",
    )


def insufficient_capacity(instance_type: str, zone: str, spot: bool) -> Ec2Error:
    """EC2 answers 500 here, so SDKs retry it by themselves a few times."""
    if spot:
        message = "There is no Spot capacity available that matches your request."
    else:
        message = (
            f"We currently do not have sufficient {instance_type} capacity in the Availability Zone you"
            f" requested ({zone}). Our system will be working on provisioning additional capacity."
        )
    return Ec2Error("InsufficientInstanceCapacity", message, 500)


def throttled() -> Ec2Error:
    return Ec2Error("RequestLimitExceeded", "Request limit exceeded.", 503)


def denied(action: str) -> Ec2Error:
    """IAM's refusal; it is the same with and without DryRun."""
    return Ec2Error(
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/lab"
        f" is not authorized to perform: {action} because no identity-based policy allows the {action} action",
        403,
    )
