"""Backtests over the API: idempotent, of one's own servers, and clear about a time without data."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.temporal.client import NoSuchWorkflow, TemporalUnreachable
from db.market.incoming_prices import keep_in_batches
from db.tables import BacktestRow
from domain.market.observed_prices import PriceBounds, PriceSource, ReportedPrice
from tests.api_world import Tenant, World, unique

pytest_plugins = ["tests.api_fixtures"]

NOW = datetime.now(UTC)
_zones = (f"zz-test-{number}a" for number in itertools.count(1))


def priced_server(world: World, *, days: float = 20.0, tenant: Tenant | None = None) -> Any:
    """A server in a region of its own, with prices from so many days ago on."""
    zone = next(_zones)
    server = world.server(tenant=tenant) if tenant else world.server()
    said = [ReportedPrice(zone[:-1], zone, "m5.large", NOW - timedelta(days=days), 0.03)]
    list(keep_in_batches(world.services.database.sessions, said, PriceSource.FILE, PriceBounds(NOW)))
    with world.services.database.sessions.begin() as session:
        for table in ("servers", "instances"):
            column = "id" if table == "servers" else "server_id"
            session.connection().exec_driver_sql(
                f"UPDATE {table} SET region = %s WHERE {column} = %s", (zone[:-1], server.id)
            )
    return server


async def asked(world: World, **body: Any) -> Any:
    return await world.call("POST", "/api/backtests", json=body)


async def test_a_backtest_is_taken_and_its_workflow_started(world: World) -> None:
    server = priced_server(world)
    answer = await asked(world, servers=[server.name], days=7, policy={"tolerance": "strict"})
    assert answer.status_code == 202, answer.text
    found = answer.json()
    assert (found["state"], found["server_ids"], found["asked"]) == ("queued", [server.id], {"tolerance": "strict"})
    assert answer.headers["Location"] == f"/api/backtests/{found['id']}"
    assert world.temporal.asked == [("backtest", found["id"])]
    shown = (await world.call("GET", f"/api/backtests/{found['id']}")).json()
    assert (shown["result"], shown["problem"]) == (None, "")
    listed = (await world.call("GET", "/api/backtests")).json()["items"]
    assert found["id"] in [one["id"] for one in listed]


async def test_the_same_key_is_the_same_backtest_and_another_body_is_refused(world: World) -> None:
    server, key = priced_server(world), unique("key")
    body = {"servers": [server.id], "days": 7}
    one, two = [
        await world.call("POST", "/api/backtests", json=body, headers={"Idempotency-Key": key}) for _ in range(2)
    ]
    assert one.json()["id"] == two.json()["id"]
    other = await world.call("POST", "/api/backtests", json={**body, "days": 8}, headers={"Idempotency-Key": key})
    assert (other.status_code, other.json()["type"].rsplit(":")[-1]) == (409, "idempotency-key-reused")


async def test_what_could_not_be_started_is_started_by_the_same_key_again(world: World) -> None:
    server, key = priced_server(world), unique("key")
    world.temporal.error = TemporalUnreachable("gone")
    body, headers = {"servers": [server.id], "days": 7}, {"Idempotency-Key": key}
    assert (await world.call("POST", "/api/backtests", json=body, headers=headers)).status_code == 503
    world.temporal.error = None
    again = await world.call("POST", "/api/backtests", json=body, headers=headers)
    assert again.status_code == 202
    assert world.temporal.asked[-1] == ("backtest", again.json()["id"])


async def test_a_time_without_prices_is_no_data_with_the_time_that_has_some(world: World) -> None:
    server = priced_server(world, days=3)
    since, until = NOW - timedelta(days=40), NOW - timedelta(days=30)
    answer = await asked(world, servers=[server.id], since=since.isoformat(), until=until.isoformat())
    assert (answer.status_code, answer.json()["type"].rsplit(":")[-1]) == (422, "no-data")
    assert "has prices from" in answer.json()["detail"]
    assert "ask for a time within" in answer.json()["detail"]
    assert world.temporal.asked == []


async def test_a_region_without_any_prices_is_no_data(world: World) -> None:
    server = priced_server(world)
    with world.services.database.sessions.begin() as session:
        session.connection().exec_driver_sql("UPDATE servers SET region = 'zz-none-1' WHERE id = %s", (server.id,))
    answer = await asked(world, servers=[server.id], days=7)
    assert answer.json()["type"].rsplit(":")[-1] == "no-data"
    assert "zz-none-1 has no spot prices of your servers' types at all" in answer.json()["detail"]


async def test_who_has_no_server_has_no_data(world: World) -> None:
    answer = await asked(world, days=7)
    assert (answer.status_code, answer.json()["type"].rsplit(":")[-1]) == (422, "no-data")


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "give either days, or since"),
        ({"days": 7, "since": "2026-01-01T00:00:00Z"}, "give either days, or since"),
        ({"days": 0.5}, "greater than or equal to 1"),
        ({"days": 91}, "less than or equal to 90"),
        ({"days": "NaN"}, "days"),
        ({"since": "2026-01-01T00:00:00"}, "need their offset from UTC"),
        ({"since": "2020-01-01T00:00:00Z"}, "can be replayed at once"),
        ({"since": "2999-01-01T00:00:00Z"}, "the period is empty, or lies in the future"),
        ({"days": 7, "until": "2026-01-01T00:00:00Z"}, "until needs since"),
        ({"days": 7, "servers": ["x"] * 201}, "at most 200"),
        ({"days": 7, "policy": {"min_saving": -1}}, "greater than or equal to 0"),
        ({"days": 7, "policy": {"luck": 1}}, "Extra inputs are not permitted"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_reason(world: World, body: dict[str, Any], why: str) -> None:
    priced_server(world)
    answer = await asked(world, **body)
    assert (answer.status_code, answer.json()["type"].rsplit(":")[-1]) == (422, "invalid-request"), answer.text
    assert why in answer.text


async def test_a_policy_that_contradicts_itself_is_refused(world: World) -> None:
    server = priced_server(world)
    answer = await asked(world, servers=[server.id], days=7, policy={"max_moves_per_week": 50, "minimum_stay_h": 24})
    assert answer.json()["type"].rsplit(":")[-1] == "policy-contradiction"


async def test_servers_and_models_that_there_are_not_are_not_found(world: World) -> None:
    mine, theirs = priced_server(world), priced_server(world, tenant=world.other)
    for servers in ([theirs.id], ["nobody"], [mine.id, theirs.name]):
        assert (await asked(world, servers=servers, days=7)).status_code == 404
    assert (await asked(world, servers=[mine.id], days=7, model_id="mdl-none")).status_code == 404


async def test_anothers_backtest_is_not_there(world: World) -> None:
    server = priced_server(world)
    found = (await asked(world, servers=[server.id], days=7)).json()["id"]
    for method, path in (("GET", f"/api/backtests/{found}"), ("POST", f"/api/backtests/{found}/cancel")):
        answer = await world.http.request(method, path, headers=world.other.headers)
        assert answer.status_code == 404
    listed = await world.http.get("/api/backtests", headers=world.other.headers)
    assert listed.json()["items"] == []


async def test_one_that_runs_can_be_cancelled_and_one_that_has_ended_cannot(world: World) -> None:
    server = priced_server(world)
    found = (await asked(world, servers=[server.id], days=7)).json()["id"]
    assert (await world.call("POST", f"/api/backtests/{found}/cancel")).status_code == 200
    assert world.temporal.asked[-1] == ("cancel backtest", found)
    world.temporal.error = NoSuchWorkflow("it never ran")
    ended = await world.call("POST", f"/api/backtests/{found}/cancel")
    assert ended.json()["state"] == "cancelled"
    again = await world.call("POST", f"/api/backtests/{found}/cancel")
    assert (again.status_code, again.json()["type"].rsplit(":")[-1]) == (409, "already-final")


async def test_only_so_many_of_a_client_are_under_way_at_once(world: World) -> None:
    server = priced_server(world)
    first, *_ = [(await asked(world, servers=[server.id], days=7)).json()["id"] for _ in range(3)]
    fourth = await asked(world, servers=[server.id], days=7)
    assert (fourth.status_code, fourth.json()["type"].rsplit(":")[-1]) == (409, "conflict")
    with world.services.database.sessions.begin() as session:
        session.get_one(BacktestRow, first).state = "done"
    assert (await asked(world, servers=[server.id], days=7)).status_code == 202


async def test_the_same_key_at_the_same_moment_is_one_backtest(world: World) -> None:
    server, headers = priced_server(world), {"Idempotency-Key": unique("key")}
    body = {"servers": [server.id], "days": 7}
    answers = await asyncio.gather(
        *(world.call("POST", "/api/backtests", json=body, headers=headers) for _ in range(5))
    )
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_result_is_shown(world: World) -> None:
    server = priced_server(world)
    found = (await asked(world, servers=[server.id], days=7)).json()["id"]
    outcome = {
        "policy": "policy",
        "money_usd": 1.5,
        "moves": 1,
        "interruptions": 0,
        "outage_minutes": 0.0,
        "cost_usd": 1.5,
    }
    result = {"days": 7.0, "decided_every_minutes": 5.0, "policies": [outcome], "servers": [], "skipped": {}}
    billed = {**outcome, "outage_minutes": 1.2, "move_outage_minutes": 1.2, "snapshot_usd": 0.05}
    now = {**result, "policies": [billed], "left_out": {server.id: "the snapshots of a move: EC2 did not say"}}
    with world.services.database.sessions.begin() as session:
        row = session.get_one(BacktestRow, found)
        row.state, row.result = "done", now
    assert (await world.call("GET", f"/api/backtests/{found}")).json()["result"] == now
    with world.services.database.sessions.begin() as session:
        session.get_one(BacktestRow, found).result = result  # of before moves were billed
    before = {**result, "policies": [{**outcome, "move_outage_minutes": 0.0, "snapshot_usd": 0.0}], "left_out": {}}
    assert (await world.call("GET", f"/api/backtests/{found}")).json()["result"] == before
