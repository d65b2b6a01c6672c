"""`spot` says what happened in words, and follows a stream through broken connections."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from cli import main
from cli.api_client import ApiClient, ApiProblem, problem_text
from cli.event_stream import StreamedEvent, follow, parse
from tests.market_histories import write_history_folder

Answer = Callable[[httpx.Request], httpx.Response]
PROBLEM = {
    "type": "urn:spot-optimizer:problem:adoption-refused",
    "title": "The instance cannot be adopted as it is",
    "status": 422,
    "detail": "the root volume is instance store",
    "errors": [{"field": "body.name", "message": "too short"}],
    "findings": [{"code": "root_is_instance_store", "what": "it would be lost", "mend": "aws ec2 …", "blocking": True}],
}


@pytest.fixture
def spot(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs a command against an API that is one function; returns exit code and all output."""

    def run(answer: Answer, *arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(main, "ApiClient", partial(ApiClient, transport=httpx.MockTransport(answer)))
        result = CliRunner().invoke(main.app, ["--url", "http://api.test", "--token", "t", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return run


def accepted(operation_id: str = "op-1") -> httpx.Response:
    return httpx.Response(202, json={"operation_id": operation_id, "status": "queued"})


def test_a_server_is_found_by_name_or_taken_by_id(spot: Callable[..., tuple[int, str]]) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(f"{request.method} {request.url.raw_path.decode()}")
        if request.method == "GET":
            found = [{"id": "srv-9"}] if "orders" in str(request.url) else []
            return httpx.Response(200, json={"items": found})
        assert json.loads(request.content) == {"pool": "us-east-1a/m5.large/spot", "wait": True}
        assert request.headers["Idempotency-Key"] == "k1"
        assert request.headers["Authorization"] == "Bearer t"
        return accepted()

    pool = ("--pool", "us-east-1a/m5.large/spot", "--key", "k1")
    assert spot(answer, "switch", "orders-db", *pool)[0] == 0
    assert spot(answer, "switch", "srv-7", *pool)[0] == 0
    code, said = spot(answer, "switch", "unknown")
    assert (code, "no server called unknown" in said) == (1, True)
    assert asked == [
        "GET /api/servers?name=orders-db",
        "POST /api/servers/srv-9/switch",
        "POST /api/servers/srv-7/switch",
        "GET /api/servers?name=unknown",
    ]


def test_a_problem_ends_in_words_and_exit_code_1(spot: Callable[..., tuple[int, str]]) -> None:
    code, said = spot(lambda _: httpx.Response(422, json=PROBLEM), "failover", "srv-1")
    assert code == 1
    for words in ("cannot be adopted", "instance store", "body.name: too short", "mend it: aws ec2"):
        assert words in said
    assert "Traceback" not in said


def test_an_answer_that_is_no_problem_document_still_has_words() -> None:
    assert problem_text(502, {"title": "HTTP 502", "detail": "<html>"}) == "HTTP 502.\n<html>"


@pytest.mark.parametrize("arguments", [("--json", "servers"), ("servers", "--json")])
def test_machines_get_json(spot: Callable[..., tuple[int, str]], arguments: tuple[str, ...]) -> None:
    code, said = spot(lambda _: httpx.Response(200, json={"items": [], "next_cursor": None}), *arguments)
    assert (code, json.loads(said)) == (0, {"items": []})


def test_a_list_is_read_over_its_pages(spot: Callable[..., tuple[int, str]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        second = request.url.params.get("cursor") == "c1"
        items = [{"id": "b"}] if second else [{"id": "a"}]
        return httpx.Response(200, json={"items": items, "next_cursor": None if second else "c1"})

    _, said = spot(answer, "--json", "operations")
    assert json.loads(said) == {"items": [{"id": "a"}, {"id": "b"}]}


def test_a_receipt_shows_steps_and_unexplained_changes(spot: Callable[..., tuple[int, str]]) -> None:
    step = {
        "name": "launch",
        "ok": True,
        "started_at": "2026-01-02T03:04:05Z",
        "ms": 812,
        "calls": ["RunInstances"],
        "note": "",
    }
    change = {"attribute": "user_data", "before": "a", "after": "b", "reason": ""}
    receipt = {"control_outage_ms": 417, "calls": 9, "hourly_before": 0.096, "hourly_after": 0.035, "changes": [change]}
    operation = dict.fromkeys(
        ("id", "server_id", "kind", "handoff", "status", "from_pool", "to_pool", "reason", "attention_reason"), "x"
    )
    body = {**operation, "steps": [step], "receipt": receipt}

    _, said = spot(lambda _: httpx.Response(200, json=body), "operation", "op-1")

    for words in ("launch", "812", "RunInstances", "417 ms", "$0.0960 -> $0.0350", "user_data", "UNEXPLAINED"):
        assert words in said


def test_a_switch_that_is_followed_ends_with_its_outcome(spot: Callable[..., tuple[int, str]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return accepted()
        if request.url.path.endswith("/stream"):
            frames = 'event: snapshot\ndata: {"status": "running"}\n\nid: 7\nevent: operation.rolled_back\ndata: {}\n\n'
            return httpx.Response(200, text=frames)
        return httpx.Response(200, json={"status": "rolled_back"})

    assert spot(answer, "--json", "switch", "srv-1", "--follow")[0] == 1


def test_an_event_stream_is_read_as_its_standard_says() -> None:
    lines = [
        "retry: 1000",
        "",
        ": waiting",
        "",
        "event: a",
        'data: {"n":',
        "data: 1}",
        "id: 5",
        "",
        "data: {",
        "no end",
    ]
    assert list(parse(lines)) == [StreamedEvent("5", "a", {"n": 1})]


def test_following_goes_on_where_it_broke_off() -> None:
    resumed_from: list[str | None] = []

    def numbered(*numbers: int, broken: bool) -> Iterator[bytes]:
        for n in numbers:
            yield f"id: {n}\nevent: e\ndata: {{}}\n\n".encode()
        if broken:
            raise httpx.ReadError("connection reset")

    script: list[Any] = [
        lambda: httpx.Response(200, content=numbered(1, 2, broken=True)),
        lambda: httpx.Response(503, json={"title": "down"}),
        lambda: httpx.Response(200, content=numbered(broken=False)),
        lambda: httpx.Response(200, content=numbered(3, 4, broken=False)),
    ]

    def answer(request: httpx.Request) -> httpx.Response:
        resumed_from.append(request.headers.get("Last-Event-ID"))
        response: httpx.Response = script.pop(0)()
        return response

    api = ApiClient("http://api.test", "t", transport=httpx.MockTransport(answer))
    got = follow(api, "/api/events/stream", over=lambda event: event.id == "4", sleep=lambda _: None)

    assert [event.id for event in got] == ["1", "2", "3", "4"]
    assert resumed_from == [None, "2", "2", "2"]


def test_following_stops_when_it_is_refused() -> None:
    refuse = httpx.MockTransport(lambda _: httpx.Response(401, json={"title": "A valid token is needed"}))
    with pytest.raises(ApiProblem, match="SPOT_TOKEN"):
        next(follow(ApiClient("http://api.test", "", transport=refuse), "/x", sleep=lambda _: None))


def test_the_autopilots_policy_changes_in_what_is_named(spot: Callable[..., tuple[int, str]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("PATCH", "/api/clients/me")
        assert json.loads(request.content) == {"autopilot": {"auto_switch": "propose", "frozen": False}}
        return httpx.Response(200, json={"name": "acme", "autopilot": {"auto_switch": "propose", "frozen": False}})

    code, output = spot(answer, "autopilot", "set", "client", "--auto-switch", "propose", "--thaw")
    assert (code, "propose" in output) == (0, True)
    code, output = spot(answer, "autopilot", "set", "client")
    assert (code, "at least one option" in output) == (1, True)


def test_limits_change_in_what_is_named(spot: Callable[..., tuple[int, str]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert json.loads(request.content) == {"limits": {"most_per_pool": 0.5}}
        return httpx.Response(200, json={"limits": {"most_per_pool": 0.5, "moves_at_once": 0}})

    assert "most_per_pool" in spot(answer, "autopilot", "limits", "--most-per-pool", "0.5")[1]
    assert spot(answer, "autopilot", "limits")[0] == 1


LIVED = {
    "capacity_failures": 2,
    "notices": 1,
    "lost": 1,
    "rebalance_recommendations": 0,
    "launches": 0,
    "launch_s": None,
}
A_POOL = {
    "id": "us-east-1a/m5.large/spot", "usd_per_hour": 0.031, "on_demand_usd_per_hour": 0.096, "placement_score": 3,
    "losses_per_hour": 0.00123, "last_day": LIVED, "last_week": LIVED, "cool_down_until": None,
}  # fmt: skip


def test_pools_are_listed_with_what_happened_there(spot: Callable[..., tuple[int, str]]) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.params["region"] == "us-east-1"
        return httpx.Response(200, json={"items": [A_POOL], "next_cursor": None})

    code, output = spot(answer, "pools", "--region", "us-east-1")
    assert code == 0
    assert all(words in output for words in ("us-east-1a/m5.large/spot", "0.0310", "0.0960", "0.00123", "2, 2"))


def test_a_pools_prices_are_shown_against_on_demand(spot: Callable[..., tuple[int, str]]) -> None:
    point = {
        "from_at": "2026-01-02T03:04:05Z", "usd_per_hour": 0.024, "min_usd_per_hour": 0.02, "max_usd_per_hour": 0.03,
        "kind": "filled", "confidence": 0.47,
    }  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/pools/us-east-1a/m5.large/spot/prices"
        assert (request.url.params["from"], request.url.params["max_points"]) == ("2026-01-01T00:00:00Z", "60")
        return httpx.Response(200, json={"pool": A_POOL["id"], "on_demand_usd_per_hour": 0.096, "points": [point]})

    code, output = spot(answer, "prices", "us-east-1a/m5.large/spot", "--from", "2026-01-01T00:00:00Z")
    assert code == 0
    assert all(words in output for words in ("0.0240", "25%", "filled", "0.47"))


def test_candidates_are_shown_with_what_would_be_decided(spot: Callable[..., tuple[int, str]]) -> None:
    seen = {"pool": A_POOL["id"], "usd_per_h": 0.031, "losses_per_h": 0.2, "cost_usd_per_h": 0.05, "blocked": "resting"}
    figures = {"on_demand_usd_per_h": 0.096, "loss_usd": 0.16, "here": {"pool": "here"}, "candidates": [seen]}

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.url.path == "/api/servers/srv-1/candidates"
        found = {"kind": "move", "to_pool": A_POOL["id"], "reason": "cheaper", "held_by": "off", "figures": figures}
        return httpx.Response(200, json=found)

    code, output = spot(answer, "candidates", "srv-1")
    assert code == 0
    assert all(words in output for words in ("cheaper", "off", "0.0500", "resting"))


@pytest.mark.parametrize(
    ("gain", "hours", "with_risk", "words"),
    [
        (0.06, 2.0, True, "after 2.0 h at $0.0600 per hour, risk included"),
        (-0.01, None, False, "never, by price alone"),
        (None, None, False, "price not known"),
    ],
)
def test_a_plan_says_what_the_move_costs_and_when_it_is_paid_back(
    spot: Callable[..., tuple[int, str]], gain: float | None, hours: float | None, with_risk: bool, words: str
) -> None:
    move = {
        "usd": 0.12, "overlap_usd": 0.05, "snapshot_usd": 0.06, "outage_usd": 0.01,
        "gain_usd_per_h": gain, "payback_h": hours, "with_risk": with_risk,
    }  # fmt: skip
    plan = {
        "handoff": "snapshot", "from_pool": A_POOL["id"], "expected_outage_s": 74.5, "hourly_now": 0.1,
        "hourly_then": 0.04, "reason": "cheapest", "moves": [], "candidates": [], "steps": [], "findings": [],
        "executable": True, "move": move,
    }  # fmt: skip
    code, said = spot(lambda _: httpx.Response(200, json=plan), "plan", "srv-1")
    assert code == 0
    assert "$0.1200: overlap $0.0500, snapshot $0.0600, outage $0.0100" in said
    assert words in said
    assert "move costs" not in spot(lambda _: httpx.Response(200, json=plan | {"move": None}), "plan", "srv-1")[1]


def test_a_backtest_shows_the_outage_of_moves_beside_all_of_it(spot: Callable[..., tuple[int, str]]) -> None:
    outcome = {
        "policy": "policy", "money_usd": 6.5, "moves": 2, "interruptions": 1, "outage_minutes": 12.5,
        "cost_usd": 7.25, "move_outage_minutes": 2.5, "snapshot_usd": 0.75,
    }  # fmt: skip
    result = {"policies": [outcome], "servers": [], "skipped": {}, "left_out": {"srv-1": "the snapshots of a move: no"}}
    found = {
        "id": "bkt-1", "state": "done", "from_at": None, "until_at": None, "problem": "", "asked": {}, "result": result,
    }  # fmt: skip
    code, said = spot(lambda _: httpx.Response(200, json=found), "backtest", "--server", "orders")
    assert code == 0
    assert all(words in said for words in ("12.5", "2.5", "0.75", "srv-1 is reckoned without the snapshots of a move"))


def test_a_decision_is_shown_with_its_figures_and_approved(spot: Callable[..., tuple[int, str]]) -> None:
    shown = {
        "id": "dec-1", "kind": "move", "to_pool": "us-east-1a/m5.large/spot", "reason": "cheaper", "held_by": "",
        "state": "proposed", "why": "", "operation_id": None,
        "figures": {
            "gain_usd_per_h": 0.07, "payback_h": 0.14, "here": {"pool": "us-east-1a/m5.large/on-demand"},
            "candidates": [{"pool": "us-east-1a/m5.large/spot", "usd_per_h": 0.026, "losses_per_h": 0.0013,
                            "cost_usd_per_h": 0.0262, "blocked": ""}],
        },
    }  # fmt: skip

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            assert request.url.path == "/api/decisions/dec-1/approve"
            return accepted()
        return httpx.Response(200, json=shown)

    code, output = spot(answer, "autopilot", "decision", "dec-1")
    assert code == 0
    assert "cheaper" in output
    assert "0.0262" in output
    assert "op-1" in spot(answer, "autopilot", "approve", "dec-1")[1]


FOUND = {
    "kind": "unknown_resource",
    "resource_type": "volume",
    "resource_id": "vol-1",
    "server_id": "srv-1",
    "what": "EC2 has this volume",
    "matters": "it costs money",
    "then": "it is removed at noon",
    "todo": "remove our tags",
    "first_seen_at": "2026-03-01T12:00:00Z",
    "outcome": "",
    "details": {"made_of": "snap-1"},
}
LOOKED = {"resources": 9, "found": 1, "open": 1, "resolved": 0, "done": 0, "left": {}, "problems": []}


def _doctor(looked: httpx.Response, *found: dict[str, Any]) -> Answer:
    return lambda request: looked if request.method == "POST" else httpx.Response(200, json={"items": list(found)})


def test_the_doctor_explains_what_it_found_and_says_by_its_exit_code_that_there_is_something(
    spot: Callable[..., tuple[int, str]],
) -> None:
    code, said = spot(_doctor(httpx.Response(200, json=LOOKED), FOUND), "doctor")
    assert code == 1
    for words in ("looked at 9 resources", "EC2 has this volume", "it costs money", "removed at noon", "snap-1"):
        assert words in said
    code, said = spot(_doctor(httpx.Response(200, json=LOOKED)), "doctor")
    assert code == 0
    assert "no difference" in said


def test_the_doctor_tells_what_is_known_to_whoever_may_not_have_ec2_looked_at(
    spot: Callable[..., tuple[int, str]],
) -> None:
    code, said = spot(_doctor(httpx.Response(403, json={"title": "Forbidden"}), FOUND), "doctor")
    assert code == 1
    assert "needs an admin's token" in said
    assert "vol-1" in said


def test_the_doctor_says_what_it_could_not_look_at(spot: Callable[..., tuple[int, str]]) -> None:
    looked = httpx.Response(200, json=LOOKED | {"problems": ["AWS cannot be reached"]})
    code, said = spot(_doctor(looked), "doctor")
    assert code == 1
    assert "could not look: AWS cannot be reached" in said
    code, said = spot(_doctor(httpx.Response(503, json={"title": "Nobody took it"})), "doctor")
    assert code == 1
    assert "Nobody took it" in said


def test_a_folder_is_replayed_here_and_what_is_wrong_with_it_is_said(
    spot: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise AssertionError("a folder needs no API")

    code, said = spot(nobody, "backtest", str(tmp_path))
    assert code == 1
    assert "has neither traces_series.csv nor prices_*.csv" in said
    out = tmp_path / "report.json"
    code, said = spot(nobody, "backtest", str(write_history_folder(tmp_path / "data")), "--quick", "--out", str(out))
    assert code == 0
    assert json.loads(out.read_text())["targets"]
