"""AWS's errors as ours: the kind a workflow decides by, and words a person can act on."""

from __future__ import annotations

import threading

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from activities.ec2.activity import note_call, parallel, recorded_calls
from activities.ec2.errors import Ec2Failure, application_error, denied_action, doing, failure_of
from domain.errors import FINAL, Failure


def aws(code: str, message: str = "words", status: int = 400, action: str = "RunInstances") -> ClientError:
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, action)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        # EC2 sends this one with status 500: the code decides, not the status.
        ("InsufficientInstanceCapacity", 500, Failure.NO_CAPACITY),
        ("InsufficientHostCapacity", 500, Failure.NO_CAPACITY),
        ("InsufficientCapacityOnHost", 500, Failure.NO_CAPACITY),
        ("InsufficientReservedInstanceCapacity", 500, Failure.NO_CAPACITY),
        ("UnfulfillableCapacity", 400, Failure.NO_CAPACITY),
        ("CapacityNotAvailable", 400, Failure.NO_CAPACITY),
        ("SpotMaxPriceTooLow", 400, Failure.NO_CAPACITY),
        ("Unsupported", 400, Failure.NO_CAPACITY),
        ("MaxSpotInstanceCountExceeded", 400, Failure.LIMIT_REACHED),
        ("VcpuLimitExceeded", 400, Failure.LIMIT_REACHED),
        ("InstanceLimitExceeded", 400, Failure.LIMIT_REACHED),
        ("UnauthorizedOperation", 403, Failure.PERMISSION_MISSING),
        ("AccessDenied", 403, Failure.PERMISSION_MISSING),
        ("AccessDeniedException", 400, Failure.PERMISSION_MISSING),
        ("AuthFailure", 401, Failure.PERMISSION_MISSING),
        ("RequestLimitExceeded", 503, Failure.THROTTLED),
        ("Throttling", 400, Failure.THROTTLED),
        ("ThrottlingException", 400, Failure.THROTTLED),
        ("InternalError", 500, Failure.UNAVAILABLE),
        ("Unheard", 503, Failure.UNAVAILABLE),
        ("Unheard", 400, Failure.REFUSED),
        ("IdempotentParameterMismatch", 400, Failure.BAD_STATE),
        ("IncorrectInstanceState", 400, Failure.BAD_STATE),
        ("InvalidInstanceID.NotFound", 400, Failure.GONE),
        ("TargetGroupNotFound", 400, Failure.GONE),
    ],
)
def test_each_code_has_its_kind(code: str, status: int, kind: Failure) -> None:
    assert failure_of(aws(code, status=status)) is kind


def test_what_was_just_made_is_not_yet_known_rather_than_gone() -> None:
    assert failure_of(aws("InvalidInstanceID.NotFound"), Failure.NOT_YET) is Failure.NOT_YET


def test_a_denied_call_names_the_action_that_is_missing() -> None:
    assert denied_action(aws("UnauthorizedOperation")) == "ec2:RunInstances"
    other = aws("UnauthorizedOperation", "You are not authorized to perform: ec2:CreateTags on resource: x")
    assert denied_action(other) == "ec2:CreateTags"
    arn = "arn:aws:sts::1:assumed-role/control/x"
    passing = aws("UnauthorizedOperation", f"User: {arn} is not authorized to perform: iam:PassRole on resource: y")
    assert denied_action(passing) == "iam:PassRole"
    load_balancer = aws("AccessDenied", "no", action="DescribeTargetGroups")
    assert denied_action(load_balancer) == "elasticloadbalancing:DescribeTargetGroups"


def test_words_say_what_was_done_to_what_and_what_to_do_next() -> None:
    with pytest.raises(Ec2Failure) as caught, doing("launching in us-east-1a/m5.large/spot"):
        raise aws("InsufficientInstanceCapacity", "We have none.")
    assert caught.value.message == (
        "launching in us-east-1a/m5.large/spot: InsufficientInstanceCapacity from RunInstances: "
        "We have none. Try another pool."
    )


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (EndpointConnectionError(endpoint_url="http://x"), Failure.UNAVAILABLE),
        (NoCredentialsError(), Failure.PERMISSION_MISSING),
    ],
)
def test_without_aws_or_credentials_there_is_a_failure_of_ours_too(error: Exception, kind: Failure) -> None:
    with pytest.raises(Ec2Failure) as caught, doing("looking"):
        raise error
    assert caught.value.failure is kind


@pytest.mark.parametrize("kind", [f for f in Failure if f not in (Failure.HOST_FAILED,)])
def test_on_the_wire_a_failure_has_its_type_and_is_final_or_not(kind: Failure) -> None:
    error = application_error(Ec2Failure(kind, "x" * 9_000), ["RunInstances"], 2)
    assert error.type == kind.value
    assert error.non_retryable == (kind in FINAL)
    assert error.details == ({"calls": ["RunInstances"], "attempts": 2},)
    assert len(error.message) < 2_000


def test_calls_of_all_threads_of_an_attempt_are_noted_and_no_others() -> None:
    class Model:
        name = "DescribeInstances"

    note_call(Model())
    with recorded_calls() as calls:
        parallel([lambda: note_call(Model())] * 5)
        stranger = threading.Thread(target=note_call, args=(Model(),))
        stranger.start()
        stranger.join()
    assert calls == ["DescribeInstances"] * 5
