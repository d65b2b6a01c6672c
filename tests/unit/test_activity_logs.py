"""What a failed activity leaves in the worker's log."""

from __future__ import annotations

import logging

import pytest
import temporalio.activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.logs import ACTIVITY_LOG, KnownFailures
from domain.errors import Failure

FORMATTER = logging.Formatter("%(levelname)s %(message)s")


@pytest.mark.parametrize(
    ("error", "with_stack"),
    [
        (ApplicationError("the database is away", type=Failure.UNAVAILABLE.value), False),
        (ApplicationError("something of another kind", type="Other"), True),
        (ValueError("a fault of ours"), True),
    ],
    ids=["known", "unknown type", "fault"],
)
def test_only_a_failure_that_we_do_not_know_comes_with_its_stack(
    caplog: pytest.LogCaptureFixture, error: Exception, with_stack: bool
) -> None:
    def fail_as_the_sdk_logs_it() -> None:
        try:
            raise error
        except Exception:
            temporalio.activity.logger.warning("Completing activity as failed", exc_info=True)

    shortened = KnownFailures()
    logger = logging.getLogger(ACTIVITY_LOG)
    logger.addFilter(shortened)
    try:
        ActivityEnvironment().run(fail_as_the_sdk_logs_it)
    finally:
        logger.removeFilter(shortened)

    (record,) = [record for record in caplog.records if record.name == ACTIVITY_LOG]
    said = FORMATTER.format(record)
    assert ("Traceback" in said) is with_stack
    assert str(error) in said
