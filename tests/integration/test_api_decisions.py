"""Policies for the autopilot, and decisions that wait for a person."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select

from api.temporal.client import TemporalUnreachable, WorkflowRefused
from db.tables import Audit, DecisionRow
from domain.autopilot.contract import EvaluateInput, EvaluateResult, Proposal
from domain.autopilot.maintenance_windows import MaintenanceWindow, Weekday
from domain.autopilot.policy import AutopilotPreferences, AutoSwitch, ReplicaMode, Tolerance
from domain.servers import Retire, ServerPolicy
from tests.api_world import SPOT, Tenant, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]


def decision(world: World, state: str = "proposed", tenant: Tenant | None = None, **values: Any) -> DecisionRow:
    now = datetime.now(UTC)
    fixed: dict[str, Any] = {
        "id": unique("dec"),
        "client_id": (tenant or world.tenant).client_id,
        "server_id": unique("srv"),
        "kind": "move",
        "reason": "cheaper",
        "from_pool": "us-east-1a/m5.large/on-demand",
        "to_pool": SPOT,
        "state": state,
        "priority": 25,
        "figures": {"gain_usd_per_h": 0.07},
        "at": now,
        "last_at": now,
    }
    row: DecisionRow = world.write(DecisionRow(**(fixed | values)))
    return row


# --- policies


async def test_a_servers_wish_changes_in_the_fields_that_are_given(world: World) -> None:
    wish = AutopilotPreferences(auto_switch=AutoSwitch.ON, tolerance=Tolerance.STRICT)
    server = world.server(policy=asdict(ServerPolicy(drain_s=5, autopilot=wish)))
    change = {
        "auto_switch": "propose",
        "outage_usd_per_hour": 20,
        "windows": [{"start": "22:00", "end": "04:00", "days": ["sat"], "timezone": "Europe/Berlin"}],
    }
    answer = await world.call("PATCH", f"/api/servers/{server.id}", json={"policy": {"autopilot": change}})
    assert answer.status_code == 200, answer.text
    [(_, policy)] = world.temporal.asked
    window = MaintenanceWindow("22:00", "04:00", [Weekday.SATURDAY], "Europe/Berlin")
    # A price in money takes the place of the class of tolerance.
    assert policy.autopilot == AutopilotPreferences(
        auto_switch=AutoSwitch.PROPOSE, outage_usd_per_hour=20, windows=[window]
    )
    assert policy.drain_s == 5


async def test_null_gives_the_word_back_to_the_client(world: World) -> None:
    server = world.server(
        policy=asdict(ServerPolicy(autopilot=AutopilotPreferences(replica=ReplicaMode.ALWAYS, min_saving=0.5)))
    )
    await world.call("PATCH", f"/api/servers/{server.id}", json={"policy": {"autopilot": {"replica": None}}})
    [(_, policy)] = world.temporal.asked
    assert policy.autopilot == AutopilotPreferences(min_saving=0.5)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"auto_switch": "sometimes"}, "auto_switch"),
        ({"min_saving": 1.5}, "min_saving"),
        ({"min_saving": float("1e400")}, "min_saving"),
        ({"outage_usd_per_hour": -1}, "outage_usd_per_hour"),
        ({"outage_usd_per_hour": 5, "tolerance": "strict"}, "autopilot"),
        ({"windows": [{"start": "22:00", "end": "22:00"}]}, "windows"),
        ({"windows": [{"start": "27:00", "end": "22:00"}]}, "windows"),
        ({"windows": [{"start": "20:00", "end": "22:00", "timezone": "Mars/Base"}]}, "windows"),
        ({"frozen_until": "2026-12-24T18:00:00"}, "autopilot"),
        ({"surprise": 1}, "surprise"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused_with_the_field(
    world: World, change: dict[str, Any], where: str
) -> None:
    server = world.server()
    content = json.dumps({"policy": {"autopilot": change}})
    answer = await world.call(
        "PATCH", f"/api/servers/{server.id}", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422, answer.text
    assert any(where in error["field"] for error in answer.json()["errors"]), answer.text
    assert world.temporal.asked == []


async def test_lists_that_contradict_each_other_are_refused_with_the_reason(world: World) -> None:
    server = world.server()
    policy = {"instance_types": ["m5.large"], "denied_types": ["m5"]}
    answer = await world.call("PATCH", f"/api/servers/{server.id}", json={"policy": policy})
    assert (answer.status_code, problem_type(answer)) == (422, "policy-contradiction")
    assert "m5.large" in answer.json()["detail"]
    assert world.temporal.asked == []


async def test_a_wish_that_contradicts_the_clients_is_refused_with_the_reason(world: World) -> None:
    path = f"/api/clients/{world.tenant.client_id}"
    assert (await world.call("PATCH", path, json={"autopilot": {"minimum_stay_h": 48}})).status_code == 422
    both = {"minimum_stay_h": 48, "max_moves_per_week": 3}
    assert (await world.call("PATCH", path, json={"autopilot": both})).status_code == 200
    server = world.server()
    wish = {"policy": {"autopilot": {"max_moves_per_week": 7}}}
    answer = await world.call("PATCH", f"/api/servers/{server.id}", json=wish)
    assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (422, "policy-contradiction")
    assert "48 h" in answer.json()["detail"]
    assert world.temporal.asked == []


async def test_a_clients_wish_that_would_break_a_server_names_it(world: World) -> None:
    kept = ServerPolicy(retire=Retire.KEEP_REPLICA)
    server = world.server(policy=asdict(kept))
    path = f"/api/clients/{world.tenant.client_id}"
    answer = await world.call("PATCH", path, json={"autopilot": {"keep_old_s": 60}})
    assert answer.status_code == 422
    assert server.name in answer.json()["detail"]
    assert (await world.call("GET", path)).json()["autopilot"] is None


async def test_a_clients_wish_and_limits_are_kept_and_shown(world: World) -> None:
    path = f"/api/clients/{world.tenant.client_id}"
    await world.call("PATCH", path, json={"autopilot": {"auto_switch": "propose"}, "limits": {"most_per_pool": 0.3}})
    shown = (await world.call("PATCH", path, json={"limits": {"moves_at_once": 2}})).json()
    assert {name: said for name, said in shown["autopilot"].items() if said is not None} == {"auto_switch": "propose"}
    assert (shown["limits"]["most_per_pool"], shown["limits"]["moves_at_once"]) == (0.3, 2)
    refused = await world.call("PATCH", path, json={"limits": {"most_per_zone": 0.2}})
    assert refused.status_code == 422
    assert "a pool lies in one zone" in refused.json()["detail"]


async def test_a_client_finds_itself_without_knowing_its_id(world: World) -> None:
    changed = await world.call("PATCH", "/api/clients/me", json={"limits": {"moves_at_once": 4}})
    assert (changed.status_code, changed.json()["id"]) == (200, world.tenant.client_id)
    assert (await world.call("GET", "/api/clients/me")).json() == changed.json()
    assert (await world.http.get("/api/clients/me", headers=world.admin)).status_code == 404


async def test_another_clients_policy_is_not_there_to_change(world: World) -> None:
    answer = await world.call("PATCH", f"/api/clients/{world.other.client_id}", json={"limits": {"moves_at_once": 1}})
    assert answer.status_code == 404


# --- decisions


async def test_decisions_are_listed_and_shown_with_their_figures(world: World) -> None:
    mine, noted = decision(world), decision(world, "noted")
    decision(world, tenant=world.other)
    listed = (await world.call("GET", "/api/decisions")).json()["items"]
    assert {one["id"] for one in listed} == {mine.id, noted.id}
    waiting = (await world.call("GET", "/api/decisions?state=proposed")).json()["items"]
    assert [one["id"] for one in waiting] == [mine.id]
    shown = (await world.call("GET", f"/api/decisions/{mine.id}")).json()
    assert shown["figures"] == {"gain_usd_per_h": 0.07}


async def test_an_approved_decision_is_asked_for_at_once(world: World) -> None:
    row = decision(world)
    answer = await world.call("POST", f"/api/decisions/{row.id}/approve")
    assert answer.status_code == 202, answer.text
    [(_, request)] = world.temporal.asked
    assert (request.request_id, request.decision_id, request.pool, int(request.priority)) == (row.id, row.id, SPOT, 25)
    shown = (await world.call("GET", f"/api/decisions/{row.id}")).json()
    assert (shown["state"], shown["operation_id"]) == ("asked", answer.json()["operation_id"])
    with world.services.database.sessions() as session:
        done = session.scalars(select(Audit.action).where(Audit.subject == row.id)).all()
    assert done == ["decision.approved"]


async def test_an_approval_survives_that_temporal_is_away(world: World) -> None:
    row = decision(world)
    world.temporal.error = TemporalUnreachable("no answer")
    assert (await world.call("POST", f"/api/decisions/{row.id}/approve")).status_code == 503
    shown = (await world.call("GET", f"/api/decisions/{row.id}")).json()
    assert shown["state"] == "approved", "the next round asks for it"


async def test_a_refusal_of_the_server_is_told(world: World) -> None:
    row = decision(world)
    world.temporal.error = WorkflowRefused("ended", "the server has ended")
    assert (await world.call("POST", f"/api/decisions/{row.id}/approve")).status_code == 409


async def test_a_decision_is_approved_or_rejected_once(world: World) -> None:
    row = decision(world)
    rejected = await world.call("POST", f"/api/decisions/{row.id}/reject", json={"why": "not before Christmas"})
    assert (rejected.status_code, rejected.json()["state"], rejected.json()["why"]) == (
        200,
        "rejected",
        "not before Christmas",
    )
    again = await world.call("POST", f"/api/decisions/{row.id}/approve")
    assert again.status_code == 409
    assert "rejected" in again.json()["detail"]
    assert world.temporal.asked == []


async def test_another_clients_decision_is_not_there(world: World) -> None:
    row = decision(world, tenant=world.other)
    for method, path in (("GET", ""), ("POST", "/approve"), ("POST", "/reject")):
        answer = await world.call(method, f"/api/decisions/{row.id}{path}", json={})
        assert answer.status_code == 404


async def test_a_round_is_an_admins_to_ask_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await world.call("POST", "/api/decisions/rounds")).status_code == 403

    async def evaluate(given: EvaluateInput) -> EvaluateResult:
        return EvaluateResult(3, {"stay/best_already": 3}, proposals=list[Proposal]())

    monkeypatch.setattr(world.temporal, "evaluate", evaluate)
    answer = await world.http.post("/api/decisions/rounds", headers=world.admin)
    assert answer.json() == {
        "servers": 3,
        "counts": {"stay/best_already": 3},
        "asked": 0,
        "proposed": 0,
        "skipped": {},
    }
