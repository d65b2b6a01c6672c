"""A whole stack: its parts can be killed and come back with the same addresses and data."""

from __future__ import annotations

import pytest

from lab.stack.stack import Stack


@pytest.mark.parametrize("part", ["database", "temporal", "api", "worker-1"])
def test_a_part_that_was_killed_comes_back_and_the_client_is_still_known(stack: Stack, part: str) -> None:
    before = dict(stack.ports)
    stack.kill(part)
    assert not stack.processes[part].running
    stack.restart(part)
    assert stack.ports == before
    with stack.api() as api:
        assert api.get("/health/ready").status_code == 200
        assert api.get("/api/servers").json()["items"] == []


def test_boto3_is_sent_to_the_lab(stack: Stack) -> None:
    assert stack.environment["AWS_ENDPOINT_URL"] == stack.urls["lab"]
    assert stack.environment["AWS_DEFAULT_REGION"] == stack.region


def test_each_process_has_its_own_log(stack: Stack) -> None:
    logs = {process.log for process in stack.processes.values()}
    assert {log.name for log in logs} == {f"{name}.log" for name in stack.processes}
    assert all(log.exists() for log in logs)


def test_the_admin_and_the_client_have_different_rights(stack: Stack) -> None:
    with stack.admin() as admin, stack.api() as api:
        assert admin.get("/api/clients").status_code == 200
        assert api.get("/api/clients").status_code == 403
