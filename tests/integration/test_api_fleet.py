"""The first screen: every server in one row, with what an owner who is woken at night looks for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from db.fleet.agents import silent_after
from db.tables import Agent, DecisionRow, Operation, OperationStep, PoolRow, Server
from domain.heartbeats import HEARTBEAT_S
from tests.api_world import SPOT, World, unique

pytest_plugins = ["tests.api_fixtures"]


def now() -> datetime:
    return datetime.now(UTC)


async def row(world: World, server: Server) -> dict[str, Any]:
    found = (await world.call("GET", f"/api/fleet?server_id={server.id}")).json()["items"]
    assert [one["id"] for one in found] == [server.id]
    one: dict[str, Any] = found[0]
    return one


def agent(world: World, instance_id: str, seconds_ago: float) -> None:
    at = now() - timedelta(seconds=seconds_ago)
    world.write(
        Agent(
            client_id=world.tenant.client_id,
            instance_id=instance_id,
            version="1",
            identity={},
            registered_at=at,
            seen_at=at,
            due_at=silent_after(at, HEARTBEAT_S),
        )
    )


def decision(world: World, server: Server, **values: Any) -> None:
    fixed: dict[str, Any] = {
        "id": unique("dec"),
        "client_id": server.client_id,
        "server_id": server.id,
        "latest_server_id": server.id,
        "kind": "move",
        "reason": "cheaper",
        "from_pool": SPOT,
        "to_pool": "us-east-1c/m5.large/spot",
        "state": "proposed",
        "figures": {"here": {"losses_per_h": 0.002}, "on_demand_usd_per_h": 0.096},
        "at": now(),
        "last_at": now(),
    }
    world.write(DecisionRow(**(fixed | values)))


async def test_a_row_carries_all_that_the_screen_shows(world: World) -> None:
    server = world.server()
    primary_id = (await row(world, server))["instance_id"]
    place: dict[str, Any] = {"zone": "us-east-1b", "instance_type": "m5.large", "lifecycle": "spot", "pool": SPOT}
    with world.services.database.sessions.begin() as session:
        session.merge(
            PoolRow(
                id=SPOT,
                region="us-east-1",
                zone="us-east-1b",
                instance_type="m5.large",
                lifecycle="spot",
                usd_per_hour=0.031,
                notices=1,
                capacity_failures=2,
            )
        )
        primary = session.get_one(type(world.instance(server, None, state="terminated")), (primary_id, server.id))
        for name, value in {**place, "usd_per_hour": 0.05}.items():
            setattr(primary, name, value)
    agent(world, primary_id, 5)
    replica = world.instance(server, "replica", pool="us-east-1a/m5.large/spot", usd_per_hour=0.03)
    agent(world, replica.id, 300)
    decision(world, server)
    operation = world.operation(server, started_at=now(), requested_by="tok-1")
    for position, ended in ((1, now()), (2, None)):
        world.write(
            OperationStep(
                operation_id=operation.id,
                position=position,
                name=f"step-{position}",
                started_at=now(),
                ended_at=ended,
                calls=[],
                hooks=[],
            )
        )

    seen = await row(world, server)

    assert (seen["state"], seen["pool"], seen["instance_type"], seen["lifecycle"]) == (
        "running",
        SPOT,
        "m5.large",
        "spot",
    )
    assert (seen["usd_per_hour"], seen["on_demand_usd_per_hour"]) == (0.031, 0.096)
    assert seen["agent_online"]
    assert seen["replica"]["instance_id"] == replica.id
    assert not seen["replica"]["agent_online"]
    assert seen["risk"]["losses_per_month"] == pytest.approx(1.46)
    assert "1.5 times a month" in seen["risk"]["reason"]
    assert "1 notice and 2 refused launches seen" in seen["risk"]["reason"]
    assert (seen["running"]["id"], seen["running"]["step"]) == (operation.id, "step-2")
    assert seen["last_operation"]["id"] == operation.id
    assert (seen["decision"]["state"], seen["decision"]["reason"]) == ("proposed", "cheaper")
    assert seen["autopilot"] == {"mode": "off", "frozen": False}
    assert seen["attention"] is None


@pytest.mark.parametrize(
    ("state", "since"),
    [
        ("launching", "launch_requested_at"),
        ("promoting", "updated_at"),
        ("terminating", "terminate_requested_at"),
    ],
)
async def test_what_is_under_way_shows_with_since_when(world: World, state: str, since: str) -> None:
    server = world.server()
    began = now() - timedelta(seconds=42)
    world.instance(server, None, state=state, **{since: began})
    seen = await row(world, server)
    assert seen["state"] == state
    assert datetime.fromisoformat(seen["since"]) == began
    assert seen["pool"], "its primary serves on"


async def test_a_server_without_an_instance_or_with_a_broken_one_says_so(world: World) -> None:
    server = world.server()
    primary_id = (await row(world, server))["instance_id"]
    with world.services.database.sessions.begin() as session:
        primary = session.get_one(type(world.instance(server, None, state="terminated")), (primary_id, server.id))
        primary.state, primary.role = "failed", None
    assert (await row(world, server))["state"] == "failed"
    with world.services.database.sessions.begin() as session:
        session.get_one(type(primary), (primary_id, server.id)).state = "terminated"
    seen = await row(world, server)
    assert (seen["state"], seen["pool"], seen["agent_online"], seen["risk"]) == ("none", "", False, None)


async def test_attention_is_what_is_stuck_or_ended_so_until_something_better_follows(world: World) -> None:
    server = world.server()
    old: Operation = world.operation(
        server,
        status="needs_attention",
        attention=True,
        attention_reason="the old instance does not end",
        requested_at=now() - timedelta(hours=1),
    )
    assert (await row(world, server))["attention"] == "the old instance does not end"
    world.operation(server, status="committed", requested_at=now())
    assert (await row(world, server))["attention"] is None
    world.operation(server, status="running", attention=True, attention_reason="no capacity anywhere")
    assert (await row(world, server))["attention"] == "no capacity anywhere"
    assert old.id != (await row(world, server))["last_operation"]["id"]


async def test_the_figures_of_another_pool_are_no_risk_of_this_one(world: World) -> None:
    server = world.server()
    decision(world, server, from_pool="us-east-1d/m5.large/spot")
    assert (await row(world, server))["risk"] is None


async def test_the_clients_wish_holds_where_the_server_says_nothing(world: World) -> None:
    server = world.server()
    until = (now() + timedelta(hours=1)).isoformat()
    change = {"autopilot": {"auto_switch": "propose", "frozen_until": until}}
    assert (await world.call("PATCH", "/api/clients/me", json=change)).status_code == 200
    assert (await row(world, server))["autopilot"] == {"mode": "propose", "frozen": True}


async def test_pages_hold_every_server_once_and_say_where_the_stream_goes_on(world: World) -> None:
    made = {world.server().id for _ in range(7)}
    ended = world.server(state="ended")
    seen: list[str] = []
    path: str | None = "/api/fleet?limit=3"
    first = (await world.call("GET", str(path))).json()
    while path:
        page = (await world.call("GET", path)).json()
        seen += [one["id"] for one in page["items"]]
        path = f"/api/fleet?limit=3&cursor={page['next_cursor']}" if page["next_cursor"] else None
    assert sorted(seen) == sorted(made)
    events = (await world.call("GET", f"/api/events?after={first['as_of']}")).json()
    assert events["items"] == []
    assert first["as_of"] == events["latest_seq"]
    assert (await row(world, ended))["state"] == "ended"


async def test_the_fleet_is_ones_own(world: World) -> None:
    theirs = world.server(world.other)
    assert (await world.call("GET", f"/api/fleet?server_id={theirs.id}")).json()["items"] == []
    assert (await world.call("GET", "/api/fleet")).json()["items"] == []
    everybody = (await world.http.get(f"/api/fleet?server_id={theirs.id}", headers=world.admin)).json()
    assert [one["id"] for one in everybody["items"]] == [theirs.id]
    assert everybody["as_of"] is None
    assert (await world.call("GET", "/api/fleet?cursor=nonsense")).status_code == 422
