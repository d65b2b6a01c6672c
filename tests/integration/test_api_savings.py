"""Savings, summary and webhooks over the API: what they say, what they refuse, and to whom."""

from __future__ import annotations

import csv
import io
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.tables import Audit, Event, SavingsDay, SavingsEntry, SavingsHour, Webhook
from db.webhooks.secret_sealing import Sealer
from tests.api_world import KEY, Tenant, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]

DAY = datetime(2026, 3, 2, tzinfo=UTC)
HOOK = {"url": "https://hooks.example.com/spot"}


def booked(world: World, tenant: Tenant, server_id: str, hour: int, **amounts: int) -> None:
    """As an accrual leaves it: the entry, and the sums of the hour and the day."""
    nothing = dict.fromkeys(("primary_micro", "replica_micro", "overlap_micro", "snapshot_micro", "on_demand_micro"), 0)
    sums: dict[str, Any] = nothing | {"unpriced_s": 0, "filled_s": 0} | amounts
    at = DAY + timedelta(hours=hour)
    whose = {"server_id": server_id, "client_id": tenant.client_id}
    world.write(
        SavingsEntry(
            hour=at, number=0, until_at=at + timedelta(hours=1), reason="accrual", recorded_at=at, **whose, **sums
        )
    )
    _add(world, SavingsDay, {"day": at.replace(hour=0), **whose}, sums)
    _add(world, SavingsHour, {"hour": at, "client_id": tenant.client_id}, sums)


def _add(world: World, table: type[Any], key: dict[str, Any], sums: dict[str, Any]) -> None:
    with world.services.database.sessions.begin() as session:
        row = session.get(table, key)
        if row is None:
            session.add(table(**key, **sums))
        else:
            for name, value in sums.items():
                setattr(row, name, getattr(row, name) + value)


def a_week(by: str) -> str:
    week = "from=2026-03-01T00:00:00Z&to=2026-03-08T00:00:00Z"
    return f"by={by}&{week}" if by else week


async def test_hours_days_and_months_say_the_same(world: World) -> None:
    server = world.server()
    for hour in range(30):
        booked(world, world.tenant, server.id, hour, primary_micro=40_001, overlap_micro=7, on_demand_micro=96_000)
    totals = []
    for by, count in (("hour", 30), ("day", 2), ("month", 1)):
        answer = (await world.call("GET", f"/api/savings?{a_week(by)}&server_id={server.id}")).json()
        assert len(answer["items"]) == count
        totals.append(answer["total"])
    assert totals[0] == totals[1] == totals[2]
    assert totals[0]["cost_usd"] == 1.20024
    assert totals[0]["saved_usd"] == 1.67976
    assert totals[0]["primary_usd"] == 1.20003
    of_servers = (
        await world.call("GET", "/api/savings/servers?from=2026-03-01T00:00:00Z&to=2026-03-08T00:00:00Z")
    ).json()
    assert of_servers["total"] == totals[0]
    [item] = of_servers["items"]
    assert (item["server_id"], item["name"], item["saved_usd"]) == (server.id, server.name, 1.67976)


async def test_csv_says_what_json_says(world: World) -> None:
    server = world.server(name="=cmd|' /C calc'!A0")
    booked(world, world.tenant, server.id, 5, primary_micro=123_456, on_demand_micro=96_000, unpriced_s=60)
    answer = await world.call("GET", f"/api/savings.csv?{a_week('day')}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="savings-by-day-2026-03-01.csv"'
    [row] = list(csv.DictReader(io.StringIO(answer.text)))
    assert (row["start"], row["primary_usd"], row["saved_usd"]) == (
        "2026-03-02T00:00:00+00:00",
        "0.123456",
        "-0.027456",
    )
    assert row["unpriced_seconds"] == "60"
    of_servers = await world.call("GET", f"/api/savings.csv?{a_week('server')}")
    [row] = list(csv.DictReader(io.StringIO(of_servers.text)))
    assert row["name"] == "'=cmd|' /C calc'!A0"


async def test_anothers_savings_are_not_there(world: World) -> None:
    server = world.server(world.other)
    booked(world, world.other, server.id, 1, on_demand_micro=96_000)
    mine = (await world.call("GET", f"/api/savings?{a_week('day')}")).json()
    assert (mine["items"], mine["total"]["saved_usd"]) == ([], 0)
    answer = await world.call("GET", f"/api/savings?{a_week('hour')}&server_id={server.id}")
    assert problem_type(answer) == "not-found"
    assert (await world.call("GET", f"/api/savings.csv?{a_week('server')}")).text.count("\r\n") == 1
    for_other = world.admin | {"X-Spot-Client": world.other.client_id}
    answer = await world.http.get(f"/api/savings?{a_week('day')}", headers=for_other)
    assert answer.json()["total"]["saved_usd"] == 0.096


@pytest.mark.parametrize(
    "query",
    [
        "by=week",
        "by=hour&from=2026-03-08T00:00:00Z&to=2026-03-01T00:00:00Z",
        "by=hour&from=2026-03-01T00:00:00Z&to=2026-03-01T00:00:00Z",
        "by=hour&from=2020-01-01T00:00:00Z&to=2026-03-01T00:00:00Z",
        "by=hour&from=0001-01-01T00:00:00Z&to=0001-01-02T00:00:00Z",
        "by=month&to=9999-12-31T23:00:00Z",
        "by=day&from=2026-03-01T00:00:00",
        "by=day&from=yesterday",
        "by=day&to=0001-01-01T00:00:00%2B14:00",
    ],
)
async def test_a_time_that_cannot_be_is_refused(world: World, query: str) -> None:
    assert problem_type(await world.call("GET", f"/api/savings?{query}")) == "invalid-request"
    assert problem_type(await world.call("GET", f"/api/savings.csv?{query}")) == "invalid-request"


async def test_a_time_is_widened_to_whole_units(world: World) -> None:
    answer = await world.call("GET", "/api/savings?by=month&from=2026-02-28T23:30:00-05:00&to=2026-03-31T10:00:00Z")
    assert (answer.json()["from_at"], answer.json()["until_at"]) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z")


async def test_the_summary_is_the_clients_own(world: World) -> None:
    world.server()
    world.server(world.other)
    world.operation(world.server(), status="committed", kind="failover", receipt={"control_outage_ms": 90_000})
    found = (await world.call("GET", "/api/summary")).json()
    assert (found["servers"], found["failovers"], found["outage_minutes"]) == (2, 1, 1.5)
    assert (found["switch_success_rate"], found["decisions_waiting"]) == (None, 0)
    assert found["saved"]["month"]["saved_usd"] == 0


# --- webhooks


async def make(world: World, **body: Any) -> dict[str, Any]:
    answer = await world.call("POST", "/api/webhooks", json=HOOK | body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_webhooks_secret_is_shown_once_and_kept_sealed(world: World, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        made = await make(world, kinds=["notice", "summary"], label="on call")
    assert made["secret"].startswith("whsec_")
    assert (made["kinds"], made["label"], made["state"]) == (["notice", "summary"], "on call", "active")
    assert "secret" not in (await world.call("GET", "/api/webhooks")).json()["items"][0]
    with world.services.database.sessions() as session:
        row = session.get_one(Webhook, made["id"])
        told = session.query(Event).where(Event.client_id == world.tenant.client_id).all()
        audited = session.query(Audit).where(Audit.subject == made["id"]).all()
    assert made["secret"] not in row.secret_sealed
    assert Sealer(KEY).open(row.secret_sealed, made["id"]) == made["secret"]
    assert [one.action for one in audited] == ["webhook.create"]
    assert (
        made["secret"] not in str([one.payload for one in told]) + str([one.details for one in audited]) + caplog.text
    )


async def test_a_webhook_is_changed_paused_and_deleted(world: World) -> None:
    made = await make(world)
    path = f"/api/webhooks/{made['id']}"
    changed = (await world.call("PATCH", path, json={"kinds": ["decision"], "active": False})).json()
    assert (changed["kinds"], changed["state"], changed["url"]) == (["decision"], "paused", HOOK["url"])
    assert problem_type(await world.call("POST", f"{path}/test")) == "conflict"
    assert (await world.call("PATCH", path, json={"active": True})).json()["state"] == "active"
    sent = await world.call("POST", f"{path}/test")
    assert sent.status_code == 202
    log = (await world.call("GET", f"{path}/deliveries")).json()
    assert [(one["id"], one["type"], one["state"]) for one in log["items"]] == [
        (sent.json()["id"], "webhook.test", "pending")
    ]
    assert (await world.call("DELETE", path)).status_code == 204
    assert problem_type(await world.call("GET", f"{path}/deliveries")) == "not-found"


async def test_anothers_webhook_is_not_there(world: World) -> None:
    made = await make(world)
    path = f"/api/webhooks/{made['id']}"
    assert (await world.call("GET", "/api/webhooks", world.other)).json()["items"] == []
    for method, where, body in (
        ("PATCH", path, {"url": "https://evil.example.com"}),
        ("DELETE", path, None),
        ("GET", f"{path}/deliveries", None),
        ("POST", f"{path}/test", None),
    ):
        assert problem_type(await world.call(method, where, world.other, json=body)) == "not-found"
    assert (await world.call("GET", "/api/webhooks")).json()["items"][0]["url"] == HOOK["url"]


@pytest.mark.parametrize(
    "body",
    [
        {"url": "http://hooks.example.com"},
        {"url": "https://127.0.0.1/"},
        {"url": "https://169.254.169.254/latest/"},
        {"url": "https://[::1]/"},
        {"url": "https://u:p@hooks.example.com/"},
        {"url": "ftp://hooks.example.com/"},
        {"url": ""},
        {"url": 7},
        {"kinds": []},
        {"kinds": ["test"]},
        {"kinds": ["everything"]},
        {"secret": "mine"},
        {"label": "x" * 201},
    ],
)
async def test_a_webhook_that_cannot_be_is_refused(world: World, body: dict[str, Any]) -> None:
    answer = await world.call("POST", "/api/webhooks", json=HOOK | body)
    assert problem_type(answer) == "invalid-request"
    made = await make(world)
    if "secret" not in body:
        changed = await world.call("PATCH", f"/api/webhooks/{made['id']}", json=body)
        assert problem_type(changed) == "invalid-request"


async def test_a_client_has_so_many_webhooks_and_no_more(world: World) -> None:
    for _ in range(20):
        await make(world)
    assert problem_type(await world.call("POST", "/api/webhooks", json=HOOK)) == "conflict"


@pytest.mark.parametrize(
    "path", ["/api/savings", "/api/savings/servers", "/api/savings.csv", "/api/summary", "/api/webhooks"]
)
async def test_without_a_token_there_is_nothing(world: World, path: str) -> None:
    assert problem_type(await world.http.get(path)) == "unauthenticated"
    assert problem_type(await world.http.get(path, headers={"Authorization": f"Bearer {unique('spt_client')}"})) == (
        "unauthenticated"
    )
