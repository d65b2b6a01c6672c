"""The harness reads the API's answers strictly, and knows when a request may have worked without one."""

from __future__ import annotations

import httpx
import pytest

from proof.harness.api_client import ControlPlaneClient, epoch
from proof.harness.waiting import RequestFailed


def test_an_instant_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        epoch("2026-01-01T00:00:10")


@pytest.mark.parametrize(("status", "unknown"), [(409, False), (422, False), (500, True), (503, True)])
def test_a_refusal_is_certain_and_a_server_error_is_not(status: int, unknown: bool) -> None:
    problem = {"title": "No", "detail": "not now", "findings": [{"what": "it is busy"}]}
    answers = httpx.MockTransport(lambda request: httpx.Response(status, json=problem))
    client = ControlPlaneClient(httpx.Client(base_url="http://api.test", transport=answers))
    with pytest.raises(RequestFailed, match=rf"GET /api/servers/s: HTTP {status} No: not now: it is busy") as failed:
        client.server("s")
    assert failed.value.outcome_unknown is unknown


def test_a_request_without_an_answer_may_have_worked() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    client = ControlPlaneClient(httpx.Client(base_url="http://api.test", transport=httpx.MockTransport(silent)))
    with pytest.raises(RequestFailed, match="ReadTimeout: no answer") as failed:
        client.server("s")
    assert failed.value.outcome_unknown
