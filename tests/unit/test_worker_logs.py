"""What a failed activity leaves in the worker's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import temporalio.activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.webhooks.sender import WebhookSender
from domain.errors import Failure
from telemetry.logs import ACTIVITY_LOG, ExpectedFailures, configure_logs
from tests.unit.test_webhooks import answering, receiver

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

    shortened = ExpectedFailures()
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


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Loggers are the process's: what `configure` changes is put back."""
    loggers = [logging.getLogger(name) for name in ("botocore", "httpx", "httpcore", ACTIVITY_LOG)]
    before = [(logger.level, list(logger.filters)) for logger in loggers]
    yield
    for logger, (level, filters) in zip(loggers, before, strict=True):
        logger.setLevel(level)
        logger.filters = filters


@pytest.mark.usefixtures("_as_before")
@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
async def test_the_address_of_a_webhook_is_in_no_log(caplog: pytest.LogCaptureFixture, level: str) -> None:
    caplog.set_level(level)
    configure_logs(level)
    seen: list[bytes] = []
    async with receiver(answering("200 OK", seen)) as port:
        await WebhookSender(private=True).send(
            f"http://127.0.0.1:{port}/T0/very-secret", {"webhook-id": "msg_1"}, b"{}"
        )
    assert b"very-secret" in seen[0]
    assert "very-secret" not in caplog.text
