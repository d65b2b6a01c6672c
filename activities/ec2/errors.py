"""AWS's errors are mapped here and nowhere else. No botocore error leaves the package.

    Ec2Failure          what an activity of ours may fail with: a `domain.errors.Failure` and a message
      -> ApplicationError in Temporal, type = the failure's value, details = the calls made

A message says what was being done, to what, AWS's code and words, and what to do next. Codes: EC2 API reference,
"Error codes for the Amazon EC2 API".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.ec2.iam_actions import iam_action
from domain.errors import FINAL, Failure

_MESSAGE_LIMIT = 1_800  # characters; histories keep every failure

_NO_CAPACITY = frozenset(
    {
        "CapacityNotAvailable",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientFreeAddressesInSubnet",  # this subnet is full; another zone's may not be
        "InsufficientHostCapacity",
        "InsufficientInstanceCapacity",
        "InsufficientReservedInstanceCapacity",
        "SpotMaxPriceTooLow",
        "UnfulfillableCapacity",
        "Unsupported",  # the type is not sold in this zone, or not as spot
    }
)
_LIMITS = frozenset(
    {
        "AttachmentLimitExceeded",
        "ConcurrentSnapshotLimitExceeded",
        "InstanceLimitExceeded",
        "MaxIOPSLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "PrivateIpAddressLimitExceeded",
        "ResourceCountExceeded",
        "SnapshotLimitExceeded",
        "VcpuLimitExceeded",
        "VolumeLimitExceeded",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"})
_BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "Blocked",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "OptInRequired",
        "PendingVerification",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "SnapshotCreationPerVolumeRateExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_UNAVAILABLE = frozenset(
    {"InternalError", "InternalFailure", "InternalServerError", "RequestExpired", "RequestTimeout",
     "ServerInternal", "ServiceUnavailable", "Unavailable"}
)  # fmt: skip
_WRONG_STATE = frozenset(
    {
        "DependencyViolation",
        "IdempotentParameterMismatch",
        "IncorrectInstanceState",
        "IncorrectSpotRequestState",
        "IncorrectState",
        "InvalidSnapshot.InUse",
        "InvalidState",
        "OperationNotPermitted",
        "VolumeInUse",
    }
)
# Elastic Load Balancing names what it does not know without the suffix `.NotFound`.
_MISSING = frozenset({"TargetGroupNotFound", "TargetGroupNotFoundException", "QueueDoesNotExist"})

_NEXT: Mapping[Failure, str] = {
    Failure.NO_CAPACITY: "Try another pool.",
    Failure.LIMIT_REACHED: "Ask AWS for a higher quota, or use another kind of pool.",
    Failure.THROTTLED: "It is tried again more slowly.",
    Failure.UNAVAILABLE: "It is tried again.",
    Failure.REFUSED: "Correct what AWS names; nothing was changed by this call.",
    Failure.BAD_STATE: "Look at the resource's state in EC2; the same call will not succeed by itself.",
    Failure.GONE: "It no longer exists.",
    Failure.NOT_YET: "EC2 may need a moment to know it; it is asked again.",
}


class Ec2Failure(Exception):
    """An activity's failure, before it becomes an ApplicationError."""

    def __init__(self, failure: Failure, message: str) -> None:
        super().__init__(message)
        self.failure = failure
        self.message = message[:_MESSAGE_LIMIT]


def not_yet(message: str) -> Ec2Failure:
    return Ec2Failure(Failure.NOT_YET, message)


def code_of(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing(error: ClientError) -> bool:
    """EC2 knows nothing (any more, or yet) by that ID."""
    code = code_of(error)
    return code.endswith((".NotFound", ".Unknown", "NonExistentQueue")) or code in _MISSING


@contextmanager
def doing(what: str, *, missing: Failure = Failure.GONE) -> Iterator[None]:
    """Says what is being done, for the message of any error inside.

    `missing`: what "not found" means here: `NOT_YET` for something just made, else `GONE`.
    """
    try:
        yield
    except ClientError as error:
        raise _of_client_error(error, what, missing) from error
    except NoCredentialsError as error:
        message = f"{what}: no AWS credentials were found. Give the worker a role or AWS_ACCESS_KEY_ID."
        raise Ec2Failure(Failure.PERMISSION_MISSING, message) from error
    except ParamValidationError as error:
        raise Ec2Failure(Failure.REFUSED, f"{what}: {error}. {_NEXT[Failure.REFUSED]}") from error
    except BotoCoreError as error:
        message = f"{what}: AWS cannot be reached or broke off: {error}. {_NEXT[Failure.UNAVAILABLE]}"
        raise Ec2Failure(Failure.UNAVAILABLE, message) from error


def failure_of(error: ClientError, missing: Failure = Failure.GONE) -> Failure:
    """The code decides before the HTTP status: EC2 sends InsufficientInstanceCapacity with status 500."""
    code = code_of(error)
    for codes, failure in (
        (_NO_CAPACITY, Failure.NO_CAPACITY),
        (_LIMITS, Failure.LIMIT_REACHED),
        (_DENIED | _BAD_CREDENTIALS, Failure.PERMISSION_MISSING),
        (_THROTTLED, Failure.THROTTLED),
        (_UNAVAILABLE, Failure.UNAVAILABLE),
        (_WRONG_STATE, Failure.BAD_STATE),
    ):
        if code in codes:
            return failure
    if is_missing(error):
        return missing
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    return Failure.UNAVAILABLE if status >= 500 else Failure.REFUSED


def denied_action(error: ClientError) -> str:
    """The IAM action that was denied: EC2 names it, else it is the one that was called.

    They differ where a call needs more than itself: RunInstances with tags needs ec2:CreateTags.
    """
    named = re.search(r"perform:?\s+(?:this operation:\s+)?([a-z0-9-]+:[A-Za-z]+)", _words(error))
    return named.group(1) if named else iam_action(error.operation_name)


def application_error(failed: Ec2Failure, calls: list[str], attempts: int) -> ApplicationError:
    """Type and message of the failure, and `{"calls": [...], "attempts": n}` as details."""
    waiting = failed.failure is Failure.NOT_YET
    return ApplicationError(
        failed.message,
        {"calls": calls, "attempts": attempts},
        type=failed.failure.value,
        non_retryable=failed.failure in FINAL,
        # Waiting is no error: keep it out of error logs and failure metrics.
        category=ApplicationErrorCategory.BENIGN if waiting else ApplicationErrorCategory.UNSPECIFIED,
    )


def _of_client_error(error: ClientError, what: str, missing: Failure) -> Ec2Failure:
    failure, code = failure_of(error, missing), code_of(error)
    advice = _NEXT.get(failure, "")
    if code in _DENIED:
        action = denied_action(error)
        advice = f"Allow {action} to the control plane's role (deploy/aws/iam-policy.json)."
        return Ec2Failure(failure, f"{what}: {action} is denied ({code}). {advice}")
    if code in _BAD_CREDENTIALS:
        advice = "Check the control plane's credentials, its clock and that the account may use this."
    return Ec2Failure(failure, f"{what}: {code} from {error.operation_name}: {_words(error)[:900]} {advice}")


def _words(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))
