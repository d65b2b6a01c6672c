"""What the page's other screens read: a server's life, an operation, events looked for, the system."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from db.engine import schema
from db.engine.session import in_transaction
from db.event_log.writing import NewEvent, append_events
from db.fleet import agents
from db.fleet.agents import mark_silent_agents, silent_after
from db.tables import Agent, DecisionRow, Event, Instance, Notice, Operation, OperationStep
from domain.adoption import MoveTerms, Plan
from domain.autopilot.move_cost import MoveCost
from domain.autopilot.policy import AutopilotPolicy
from domain.heartbeats import HEARTBEAT_S
from domain.pools import Candidate, Pool
from domain.servers import Handoff
from tests.api_world import SPOT, Tenant, World, problem_type, unreachable_database

pytest_plugins = ["tests.api_fixtures"]

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def tell(world: World, *events: NewEvent, tenant: Tenant | None = None) -> int:
    client_id = (tenant or world.tenant).client_id
    return in_transaction(world.services.database.sessions, lambda session: append_events(session, client_id, events))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


async def test_a_timeline_shows_who_was_primary_when_and_what_happened(world: World) -> None:
    server = world.server()
    with world.services.database.sessions.begin() as session:
        old = session.query(Instance).filter_by(server_id=server.id).one()
        old.created_at, old.state, old.role, old.terminate_confirmed_at = at(0), "terminated", None, at(300)
        session.flush()
        session.expunge(old)
    new = world.instance(server, pool=SPOT, created_at=at(100), lifecycle="spot")

    def said(instance_id: str, second: float, state: str, role: str | None) -> NewEvent:
        payload = {"state": state, "role": role} if role else {"state": state}
        return NewEvent(f"instance.{state}", at(second), server.id, instance_id, "op-1", payload)

    tell(
        world,
        said(old.id, 0, "running_primary", "primary"),
        said(new.id, 100, "launching", None),
        said(new.id, 150, "promoting", None),
        said(new.id, 150, "promoting", None),
        said(new.id, 160, "running_primary", "primary"),
        said(old.id, 160, "terminating", None),
        said(old.id, 300, "terminated", None),
        said("i-other", 10, "launching", None),
    )
    receipt = {"control_outage_ms": 700, "steps": [{"name": "fence", "started_at": at(155).isoformat()}]}
    world.operation(server, status="committed", receipt=receipt, started_at=at(90), requested_at=at(90))
    world.write(
        Notice(
            notice_id="n-1",
            server_id=server.id,
            client_id=server.client_id,
            instance_id=old.id,
            kind="interruption",
            source="imds",
            sources=["imds"],
            seen_at=at(95),
        )
    )

    life = (await world.call("GET", f"/api/servers/{server.id}/timeline")).json()

    first, second = life["instances"]
    assert [first["id"], second["id"]] == [old.id, new.id]
    assert [(s["state"], instant(s["since"]), instant(s["until"])) for s in first["spans"]] == [
        ("running_primary", at(0), at(160)),
        ("terminating", at(160), at(300)),
    ]
    assert instant(first["ended_at"]) == at(300)
    assert [(s["state"], s["role"], instant(s["since"])) for s in second["spans"]] == [
        ("launching", None, at(100)),
        ("promoting", None, at(150)),
        ("running_primary", "primary", at(160)),
    ]
    assert second["spans"][-1]["until"] is None
    assert [(instant(o["since"]), o["ms"]) for o in life["outages"]] == [(at(155), 700)]
    assert [n["kind"] for n in life["notices"]] == ["interruption"]
    assert [o["status"] for o in life["operations"]] == ["committed"]


async def test_where_events_have_expired_an_instances_own_times_tell(world: World) -> None:
    server = world.server()
    times = {"launch_requested_at": at(5), "launch_confirmed_at": at(30), "terminate_requested_at": at(60)}
    world.instance(server, None, state="terminated", created_at=at(4), terminate_confirmed_at=at(90), **times)
    life = (await world.call("GET", f"/api/servers/{server.id}/timeline")).json()["instances"][0]
    assert [(s["state"], instant(s["since"])) for s in life["spans"]] == [
        ("launching", at(5)),
        ("running_primary", at(30)),
        ("terminating", at(60)),
    ]
    assert instant(life["ended_at"]) == at(90)


async def test_an_operation_is_told_in_full_with_the_way_to_its_workflow(world: World) -> None:
    settings = world.services.settings.model_copy(update={"temporal_ui_url": "http://ui.test/"})
    world.services.settings = settings
    server = world.server()
    hook = {"name": "stop", "exit_code": 0, "ms": 12, "output": "ok"}
    receipt = {
        "steps": [
            {"name": "launch", "started_at": at(0).isoformat(), "ms": 5, "calls": ["RunInstances"], "hooks": [hook]}
        ],
        "changes": [{"attribute": "subnet", "before": "a", "after": "b", "reason": "another zone"}],
        "hourly_before": 0.1,
        "field_of_tomorrow": 1,
    }
    operation: Operation = world.operation(server, receipt=receipt, workflow_id="operation/op-1", workflow_run_id="r-1")

    def step(position: int, name: str) -> OperationStep:
        return OperationStep(
            operation_id=operation.id, position=position, name=name, started_at=at(0), ok=True, calls=[], hooks=[hook]
        )

    world.write(step(1, "fence"))
    seen = (await world.call("GET", f"/api/operations/{operation.id}")).json()
    assert seen["server_name"] == server.name
    assert seen["temporal_url"] == "http://ui.test/namespaces/default/workflows/operation%2Fop-1/r-1"
    assert seen["receipt"]["changes"][0]["reason"] == "another zone"
    assert seen["receipt"]["steps"][0]["hooks"] == seen["steps"][0]["hooks"] == [hook]
    assert seen["cancellable"]
    world.write(step(2, "commit"))
    assert not (await world.call("GET", f"/api/operations/{operation.id}")).json()["cancellable"]


async def test_without_temporals_page_there_is_no_link(world: World) -> None:
    operation = world.operation(world.server(), workflow_id="operation/op-1")
    assert (await world.call("GET", f"/api/operations/{operation.id}")).json()["temporal_url"] is None


async def found(world: World, query: str) -> dict[str, Any]:
    answer = await world.call("GET", f"/api/events?{query}")
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_events_are_found_by_server_kind_operation_and_time_newest_first(world: World) -> None:
    first = tell(world, NewEvent("instance.launching", at(0), "srv-a", "i-1", "op-1"))
    tell(world, NewEvent("operation.step", at(1), "srv-a", None, "op-1"))
    tell(world, NewEvent("instance.changed", at(2), "srv-b", "i-2", "op-2"))
    last = tell(world, NewEvent("instance.terminated", at(3), "srv-a", "i-1", "op-1"))
    tell(world, NewEvent("instance.changed", at(2), "srv-a", "i-9"), tenant=world.other)

    page = await found(world, "order=newest&server_id=srv-a&type=instance.")
    assert [one["seq"] for one in page["items"]] == [last, first]
    assert page["next_before"] is None
    assert [one["type"] for one in (await found(world, "type=operation.step"))["items"]] == ["operation.step"]
    assert [one["seq"] for one in (await found(world, "operation_id=op-2"))["items"]] == [first + 2]
    assert (await found(world, "type=instance"))["items"] == [], "a whole type, and not a beginning"

    pages = [await found(world, "order=newest&limit=2")]
    pages.append(await found(world, f"order=newest&limit=2&before={pages[0]['next_before']}"))
    assert [one["seq"] for page in pages for one in page["items"]] == [last, last - 1, last - 2, last - 3]

    with world.services.database.sessions.begin() as session:
        mine = update(Event).where(Event.client_id == world.tenant.client_id)
        session.execute(mine.where(Event.seq < first + 2).values(recorded_at=at(0)))
        session.execute(mine.where(Event.seq >= first + 2).values(recorded_at=at(100)))
    assert {one["seq"] for one in (await found(world, "since=2026-03-01T12:01:00Z"))["items"]} == {first + 2, last}
    until = (await found(world, "until=2026-03-01T12:01:00Z&order=newest"))["items"]
    assert [one["seq"] for one in until][:2] == [first + 1, first]


@pytest.mark.parametrize(
    "query", ["type=%25", "type=Instance.", "since=yesterday", "since=2026-03-01T12:00:00", "order=random", "before=-1"]
)
async def test_a_search_that_makes_no_sense_is_refused(world: World, query: str) -> None:
    answer = await world.call("GET", f"/api/events?{query}")
    assert (answer.status_code, problem_type(answer)) == (422, "invalid-request")


async def test_an_agent_that_falls_silent_is_told_once_and_again_when_it_is_heard(world: World) -> None:
    server = world.server()
    instance = world.instance(server, "replica")
    retired = world.instance(server, None, state="terminated")
    sessions, client_id = world.services.database.sessions, world.tenant.client_id
    now = datetime.now(UTC)
    for one in (instance, retired):
        seen_at = now - timedelta(minutes=1)
        seen = {"registered_at": now, "seen_at": seen_at, "due_at": silent_after(seen_at, HEARTBEAT_S)}
        world.write(Agent(client_id=client_id, instance_id=one.id, version="1", identity={}, **seen))

    def heartbeat(when: datetime) -> None:
        in_transaction(sessions, lambda session: agents.agent_seen(session, client_id, instance.id, when))

    def told(prefix: str = "agent.") -> list[tuple[str, str | None, str | None]]:
        with sessions() as session:
            query = session.query(Event).filter(Event.client_id == client_id, Event.type.startswith(prefix))
            return [(event.type, event.server_id, event.instance_id) for event in query.order_by(Event.seq)]

    mark_silent_agents(sessions, now)
    mark_silent_agents(sessions, now)
    assert told() == [("agent.silent", server.id, instance.id)]
    heartbeat(now)
    heartbeat(now + timedelta(seconds=6))
    assert told()[1:] == [("agent.back", server.id, instance.id)]
    mark_silent_agents(sessions, now + timedelta(seconds=20))
    assert len(told()) == 2
    mark_silent_agents(sessions, silent_after(now, HEARTBEAT_S) + timedelta(seconds=10))
    assert told()[2:] == [("agent.silent", server.id, instance.id)]


async def test_an_admin_sees_the_system_and_what_of_it_is_away(world: World) -> None:
    world.server()
    answer = (await world.http.get("/api/system", headers=world.admin)).json()
    assert answer["database"]["ok"]
    assert answer["database"]["migration"] == answer["database"]["migration_wanted"] == schema.latest()
    assert answer["versions"]["database"]
    assert answer["counts"]["servers"] >= 1
    assert not answer["temporal"]["ok"], "no Temporal runs at that address"
    assert "temporal.test:7233" in answer["temporal"]["detail"]
    world.services.database = unreachable_database()
    down = (await world.http.get("/api/system", headers=world.admin)).json()
    assert not down["database"]["ok"]
    assert down["database"]["detail"]
    assert down["counts"] == {}
    assert (await world.http.get("/api/system")).status_code == 401


async def test_a_plan_tells_the_risk_of_its_pools(world: World) -> None:
    server = world.server()
    pools = [SPOT, "us-east-1c/m5.large/spot", "us-east-1a/m5.large/on-demand"]
    candidates = [Candidate(Pool.parse(pool), "subnet-1", 0.03, 0.1, "cheapest") for pool in pools]
    world.temporal.planned = Plan(Handoff.STATELESS, pools[2], candidates=candidates)
    world.write(
        DecisionRow(
            id=f"dec-{server.id}",
            client_id=server.client_id,
            server_id=server.id,
            latest_server_id=server.id,
            kind="move",
            reason="cheaper",
            from_pool=pools[2],
            state="recorded",
            figures={"here": {"pool": pools[2]}, "candidates": [{"pool": SPOT, "losses_per_h": 0.004}]},
            at=T0,
            last_at=T0,
        )
    )
    plan = (await world.call("POST", f"/api/servers/{server.id}/plan")).json()
    assert [one["losses_per_hour"] for one in plan["candidates"]] == [0.004, None, 0.0]


async def test_a_plan_tells_what_its_move_costs_and_when_that_is_paid_back(world: World) -> None:
    """By price alone, and with the risk that the latest decision has, once it has one."""
    server = world.server()
    world.instance(server, None, instance_type="m5.large", created_at=T0)  # the type it came with
    home, there = "us-east-1a/m5.large/on-demand", Candidate(Pool.parse(SPOT), "subnet-1", 0.04, 0.1, "cheapest")
    planned = Plan(Handoff.SNAPSHOT, home, [there], hourly_now=0.1, hourly_then=0.04, move=MoveCost(0.05, 0.06, 0.01))
    world.temporal.planned = planned

    async def told() -> dict[str, Any]:
        found: dict[str, Any] = (await world.call("POST", f"/api/servers/{server.id}/plan")).json()["move"]
        return found

    move = await told()
    assert (move["overlap_usd"], move["snapshot_usd"], move["outage_usd"]) == (0.05, 0.06, 0.01)
    assert move["usd"] == pytest.approx(0.12)
    assert (move["with_risk"], move["payback_h"]) == (False, pytest.approx(0.12 / 0.06))
    decided = {"pool": SPOT, "losses_per_h": 0.004, "risk_usd_per_h": 0.03}
    world.write(
        DecisionRow(
            id=f"dec-{server.id}",
            client_id=server.client_id,
            server_id=server.id,
            latest_server_id=server.id,
            kind="move",
            reason="cheaper",
            from_pool=home,
            state="recorded",
            figures={"here": {"pool": home}, "candidates": [decided]},
            at=T0,
            last_at=T0,
        )
    )
    move = await told()
    assert (move["with_risk"], move["payback_h"]) == (True, pytest.approx(0.12 / 0.03))
    world.temporal.planned = replace(planned, hourly_then=0.08)
    assert (await told())["payback_h"] is None, "with its risk it costs more than it saves"
    world.temporal.planned = replace(planned, hourly_now=0.0)
    assert (await told())["gain_usd_per_h"] is None
    [(_, asked), *_] = [one for one in world.temporal.asked if one[0] == "plan"]
    assert asked.terms == MoveTerms("m5.large", AutopilotPolicy())


async def test_what_is_anothers_stays_unseen(world: World) -> None:
    theirs = world.server(world.other)
    assert problem_type(await world.call("GET", f"/api/servers/{theirs.id}/timeline")) == "not-found"
    assert (await world.call("GET", "/api/system")).status_code == 403
