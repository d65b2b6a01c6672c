"""`spot savings`, `spot summary` and `spot webhooks`, against an API that is one function."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cli import main
from cli.api_client import ApiClient

Answer = Callable[[httpx.Request], httpx.Response]
MONEY = {
    "cost_usd": 0.04,
    "primary_usd": 0.039999,
    "replica_usd": 0.0,
    "overlap_usd": 0.000001,
    "snapshot_usd": 0.0,
    "on_demand_usd": 0.096,
    "saved_usd": 0.056,
    "unpriced_minutes": 0.0,
    "filled_minutes": 7.0,
}
HOOK = {
    "id": "whk-1",
    "client_id": "cli-1",
    "url": "https://hooks.example.com",
    "label": "on call",
    "kinds": ["notice"],
    "state": "active",
    "why": "",
}


@pytest.fixture
def spot(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    def run(answer: Answer, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(main, "ApiClient", partial(ApiClient, transport=httpx.MockTransport(answer)))
        result = CliRunner().invoke(main.app, ["--url", "http://api.test", "--token", "t", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


Spot = Callable[..., tuple[int, str]]


def savings(request: httpx.Request) -> httpx.Response:
    item = MONEY | {"start": "2026-03-02T10:00:00Z", "name": "orders", "server_id": "srv-1"}
    found = {"by": request.url.params.get("by", ""), "accrued_until": None, "items": [item], "total": MONEY}
    return httpx.Response(200, json=found)


def test_savings_are_told_to_the_millionth_with_their_total(spot: Spot) -> None:
    code, said = spot(savings, "savings", "--by", "hour")
    assert code == 0
    assert "2026-03-02 10:00" in said
    assert said.count("0.056000") == 2
    assert "7 min at a carried-on price" in said
    assert "orders" in spot(savings, "savings", "--by", "server")[1]


def test_a_day_is_utc_and_a_time_that_is_none_is_named(spot: Spot) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url.params))
        return savings(request)

    assert spot(answer, "savings", "--from", "2026-03-01", "--server", "srv-1")[0] == 0
    assert asked == ["by=day&from=2026-03-01T00%3A00%3A00%2B00%3A00&server_id=srv-1"]
    code, said = spot(answer, "savings", "--from", "yesterday")
    assert (code, "'yesterday' is no time" in said) == (1, True)


def test_csv_comes_as_it_is(spot: Spot) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/savings.csv"
        return httpx.Response(200, text="start,cost_usd\r\n2026,1\r\n")

    assert spot(answer, "savings", "--csv", "--by", "month")[1].splitlines() == ["start,cost_usd", "2026,1"]


def test_the_summary_in_words(spot: Spot) -> None:
    found = {
        "servers_by_state": {"active": 3},
        "instances": 4,
        "agents_online": 2,
        "saved": {"hour": MONEY, "day": MONEY, "month": MONEY},
        "switches": 8,
        "switch_success_rate": 0.875,
        "failovers": 1,
        "outage_minutes": 0.5,
        "operations_in_progress": 0,
        "needs_attention": 0,
        "decisions_waiting": 2,
    }
    code, said = spot(lambda _: httpx.Response(200, json=found), "summary")
    assert code == 0
    for words in ("3 active", "2 of 4", "8, 87.5% committed", "0.056000"):
        assert words in said


def test_webhooks_are_made_changed_and_tested(spot: Spot) -> None:
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        asked.append((request.method, request.url.path, body))
        if request.method == "DELETE":
            return httpx.Response(204)
        if request.url.path.endswith("/test"):
            return httpx.Response(202, json={"id": "msg_1"})
        if request.method == "GET":
            return httpx.Response(200, json={"items": [HOOK]})
        return httpx.Response(200, json=HOOK | ({"secret": "whsec_x"} if request.method == "POST" else {}))

    code, said = spot(answer, "webhooks", "create", "https://hooks.example.com", "--kind", "notice")
    assert (code, "whsec_x" in said) == (0, True)
    assert "whk-1" in spot(answer, "webhooks", "list")[1]
    assert spot(answer, "webhooks", "set", "whk-1", "--pause")[0] == 0
    assert "msg_1 is on its way" in spot(answer, "webhooks", "test", "whk-1")[1]
    assert "deleted" in spot(answer, "webhooks", "delete", "whk-1")[1]
    code, said = spot(answer, "webhooks", "set", "whk-1")
    assert (code, "nothing to change" in said) == (1, True)
    assert asked == [
        ("POST", "/api/webhooks", {"url": "https://hooks.example.com", "label": "", "kinds": ["notice"]}),
        ("GET", "/api/webhooks", None),
        ("PATCH", "/api/webhooks/whk-1", {"active": False}),
        ("POST", "/api/webhooks/whk-1/test", {}),
        ("DELETE", "/api/webhooks/whk-1", None),
    ]
