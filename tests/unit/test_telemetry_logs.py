"""One format of log lines: their keys, what they are about, and what is kept out of them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest
import temporalio.activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.webhooks.sender import WebhookSender
from domain.errors import Failure
from telemetry.logs import JsonLines, configure_logs
from telemetry.temporal_logs import ACTIVITY_LOG, ExpectedFailures, temporal_context
from tests.unit.test_webhooks import answering, receiver

LINES = JsonLines()


def record(message: str, **extra: object) -> logging.LogRecord:
    return logging.getLogger("some.module").makeRecord(
        "some.module", logging.INFO, "", 1, message, (), None, extra=extra
    )


def test_a_log_line_is_one_json_object_with_the_keys_of_all_programs() -> None:
    text = LINES.format(record("two\nlines", server="srv-1", ms=5))
    assert "\n" not in text
    line = json.loads(text)
    assert list(line)[:4] == ["time", "level", "logger", "message"]
    assert line.items() >= {"level": "INFO", "logger": "some.module", "message": "two\nlines"}.items()
    assert line.items() >= {"server": "srv-1", "ms": 5}.items()
    assert line.keys() == {"time", "level", "logger", "message", "server", "ms"}


def test_each_line_says_what_it_is_about_and_its_own_fields_win() -> None:
    lines = JsonLines(lambda: {"instance": "i-1", "request_id": "req-1"})
    assert (
        json.loads(lines.format(record("x", instance="i-2"))).items()
        >= {
            "instance": "i-2",
            "request_id": "req-1",
        }.items()
    )


def test_a_line_of_an_exception_has_its_stack() -> None:
    try:
        raise ValueError("a fault of ours")
    except ValueError:
        failed = record("failed")
        failed.exc_info = sys.exc_info()
    assert json.loads(LINES.format(failed))["exception"].endswith("ValueError: a fault of ours")


@pytest.mark.parametrize(
    ("workflow_id", "told"),
    [
        ("server/srv-1", {"server": "srv-1"}),
        ("operation/op-1", {"operation": "op-1"}),
        ("market/thin-out", {}),
    ],
)
def test_a_line_of_an_activity_says_whose_work_it_is(workflow_id: str, told: dict[str, str]) -> None:
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, workflow_id=workflow_id, activity_type="ec2_launch", attempt=2)
    found = environment.run(temporal_context)
    assert found == {"workflow_id": workflow_id, "activity": "ec2_launch", "attempt": 2, **told}


def test_a_line_of_no_workflow_says_nothing_of_one() -> None:
    assert temporal_context() == {}


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

    [logged] = [one for one in caplog.records if one.name == ACTIVITY_LOG]
    said = LINES.format(logged)
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
