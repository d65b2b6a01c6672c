"""Bad input gets a clear answer, and changes nothing; the same request twice is the same operation."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from api.temporal.client import NoSuchWorkflow, NoWorker, TemporalUnreachable, WorkflowCallError, WorkflowRefused
from domain.adoption import Finding, Plan
from domain.errors import Failure
from domain.names import operation_id
from domain.operations import OperationKind, Priority, Refusal, ServerView
from domain.pools import Candidate, Pool
from domain.servers import Handoff
from tests.api_world import POOL, SPOT, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]


def adoption(**values: Any) -> dict[str, Any]:
    return {"name": unique("name"), "region": "us-east-1", "instance_id": unique("i").replace("-", "-0", 1)} | values


# --- the contract with the server's workflow


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "priority"),
    [
        ("POST", "switch", {"pool": None}, OperationKind.SWITCH, Priority.PERSON),
        ("POST", "failover", {}, OperationKind.FAILOVER, Priority.EMERGENCY),
        ("POST", "replica", {"pool": SPOT}, OperationKind.REPLICA_CREATE, Priority.PERSON),
        ("DELETE", "replica", None, OperationKind.REPLICA_DROP, Priority.PERSON),
        ("POST", "promote", {"wait": False}, OperationKind.PROMOTE, Priority.PERSON),
        ("DELETE", "", None, OperationKind.RELEASE, Priority.PERSON),
    ],
)
async def test_each_request_becomes_one_update_of_the_servers_workflow(
    world: World, method: str, path: str, body: Any, kind: OperationKind, priority: Priority
) -> None:
    server = world.server()
    place = f"/api/servers/{server.id}/{path}".rstrip("/")

    answer = await world.call(method, place, json=body, headers={"Idempotency-Key": "key-1"})

    assert answer.status_code == 202, answer.text
    [(_, asked)] = world.temporal.asked
    assert (asked.kind, asked.priority, asked.request_id) == (kind, priority, "key-1")
    assert asked.requested_by == world.tenant.token.split("_")[2]
    assert asked.wait == (body or {}).get("wait", True)
    said = answer.json()
    assert said["operation_id"] == operation_id(server.id, "key-1")
    assert answer.headers["location"] == said["links"]["self"] == f"/api/operations/{said['operation_id']}"


async def test_the_same_key_and_body_again_is_the_same_operation(world: World) -> None:
    server = world.server()
    place, key = f"/api/servers/{server.id}/replica", {"Idempotency-Key": unique("key")}
    first = await world.call("POST", place, json={"wait": True}, headers=key)
    asked = world.temporal.asked[0][1]
    world.operation(server, id=first.json()["operation_id"], request_id=asked.request_id, body_digest=asked.body_digest)

    again = await world.call(
        "POST", place, content='{ "wait":true }', headers=key | {"Content-Type": "application/json"}
    )

    assert again.status_code == 202
    assert again.headers["idempotent-replay"] == "true"
    assert again.json()["operation_id"] == first.json()["operation_id"]
    assert again.json()["status"] == "running"
    assert len(world.temporal.asked) == 1


async def test_the_same_key_for_something_else_is_refused(world: World) -> None:
    server, second = world.server(), world.server()
    key = {"Idempotency-Key": unique("key")}
    await world.call("POST", f"/api/servers/{server.id}/switch", json={}, headers=key)
    asked = world.temporal.asked.pop()[1]
    world.operation(server, request_id=asked.request_id, body_digest=asked.body_digest)

    for method, path, body in (
        ("POST", f"{server.id}/switch", {"wait": False}),
        ("POST", f"{server.id}/failover", {}),
        ("POST", f"{second.id}/switch", {}),
        ("DELETE", f"{server.id}/replica", None),
    ):
        answer = await world.call(method, f"/api/servers/{path}", json=body, headers=key)
        assert answer.status_code == 409
        assert problem_type(answer) == "idempotency-key-reused"
    assert world.temporal.asked == []
    other = world.server(world.other)
    theirs = await world.call("POST", f"/api/servers/{other.id}/switch", world.other, json={}, headers=key)
    assert theirs.status_code == 202, "another client's keys are its own"


@pytest.mark.parametrize("key", ["", "k" * 201, "two words", "schlüssel"])
async def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    server = world.server()
    headers = {"Idempotency-Key": key.encode()}
    answer = await world.call("POST", f"/api/servers/{server.id}/switch", headers=headers)
    assert answer.status_code == 422
    assert problem_type(answer) == "invalid-request"
    assert world.temporal.asked == []


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (WorkflowRefused(Refusal.BUSY, "a switch runs"), 409, "busy"),
        (WorkflowRefused(Refusal.SAME_POOL, "there already"), 422, "same-pool"),
        (WorkflowRefused(Refusal.NO_PRIMARY, "none"), 409, "no-primary"),
        (WorkflowRefused(Refusal.NO_REPLICA, "none"), 409, "no-replica"),
        (WorkflowRefused(Refusal.HAS_REPLICA, "i-1"), 409, "has-replica"),
        (WorkflowRefused(Refusal.ENDED, "gone"), 409, "ended"),
        (WorkflowRefused(Refusal.REQUEST_ID_REUSED, "other body"), 409, "idempotency-key-reused"),
        (NoSuchWorkflow("not found"), 409, "ended"),
        (NoWorker("nobody"), 503, "no-worker"),
        (TemporalUnreachable("Temporal at temporal.test:7233: refused"), 503, "temporal-unreachable"),
        (WorkflowRefused("SomethingNew", "with a secret inside"), 500, "internal"),
        (WorkflowCallError("with a secret inside"), 500, "internal"),
    ],
)
async def test_what_the_workflow_refuses_is_said_in_words(
    world: World, error: WorkflowCallError, status: int, slug: str
) -> None:
    server = world.server()
    world.temporal.error = error
    answer = await world.call("POST", f"/api/servers/{server.id}/switch")
    assert answer.status_code == status
    assert problem_type(answer) == slug
    assert ("retry-after" in answer.headers) == (status == 503)
    if status == 500:
        assert "secret" not in answer.text


# --- values


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "body"),
        ("[]", "body"),
        ('{"pool": "nowhere"}', "body.pool"),
        ('{"pool": 7}', "body.pool"),
        ('{"pool": "us-east-1a/m5.large/reserved"}', "body.pool"),
        ('{"wait": "perhaps"}', "body.wait"),
        ('{"poool": null}', "body.poool"),
    ],
)
async def test_values_that_are_none_name_their_field(world: World, content: str, field: str) -> None:
    server = world.server()
    answer = await world.call(
        "POST", f"/api/servers/{server.id}/switch", content=content, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    assert problem_type(answer) == "invalid-request"
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert world.temporal.asked == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "body.name"),
        ({"region": "mars"}, "body.region"),
        ({"instance_id": "vol-1"}, "body.instance_id"),
        ({"instance_id": None}, "body"),
        ({"policy": {"handoff": "teleport"}}, "body.policy.handoff"),
        ({"policy": {"launch_timeout_s": -1}}, "body.policy.launch_timeout_s"),
        ({"policy": {"max_spot_usd_per_hour": "NaN"}}, "body.policy.max_spot_usd_per_hour"),
        ({"policy": {"colour": "red"}}, "body.policy.colour"),
        ({"launch": {"image_id": "ami-1", "pool": SPOT}}, "body"),
    ],
)
async def test_an_adoption_with_bad_values_changes_nothing(world: World, change: dict[str, Any], field: str) -> None:
    answer = await world.call("POST", "/api/servers", json=adoption(**change))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith(field)
    assert world.temporal.asked == []


async def test_a_body_over_one_mebibyte_is_refused(world: World) -> None:
    answer = await world.call("POST", "/api/servers", json=adoption(name="x" * 1_100_000))
    assert answer.status_code == 413
    assert problem_type(answer) == "too-large"


@pytest.mark.parametrize("path", ["/api/nothing", "/api/servers/%00", "/api/operations/%F0%9F%98%80"])
async def test_what_does_not_exist_is_a_problem_too(world: World, path: str) -> None:
    answer = await world.call("GET", path)
    assert answer.status_code == 404
    assert problem_type(answer) == "not-found"


async def test_an_unforeseen_error_says_nothing_of_its_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    server = world.server()
    monkeypatch.setattr(world.temporal, "request", broken)
    answer = await world.call("POST", f"/api/servers/{server.id}/switch")
    assert answer.status_code == 500
    assert problem_type(answer) == "internal"
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


# --- pools


async def test_a_switch_to_the_pool_it_is_in_is_refused(world: World) -> None:
    server = world.server()
    answer = await world.call("POST", f"/api/servers/{server.id}/switch", json={"pool": POOL})
    assert (answer.status_code, problem_type(answer)) == (422, "same-pool")


async def test_a_pool_that_the_plan_refuses_starts_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = world.server()

    async def refuses(_: object) -> Plan:
        raise WorkflowRefused(Failure.REFUSED, "m6g.large is arm64, the image is x86_64")

    monkeypatch.setattr(world.temporal, "plan", refuses)
    wanted = {"pool": "us-east-1a/m6g.large/spot"}
    for what in ("switch", "plan"):
        answer = await world.call("POST", f"/api/servers/{server.id}/{what}", json=wanted)
        assert (answer.status_code, problem_type(answer)) == (422, "pool-refused")
        assert "arm64" in answer.json()["detail"]
    assert world.temporal.asked == []


@pytest.mark.parametrize("what", ["switch", "plan"])
async def test_a_pool_in_another_region_is_refused(world: World, what: str) -> None:
    server = world.server()
    answer = await world.call("POST", f"/api/servers/{server.id}/{what}", json={"pool": "eu-west-1a/m5.large/spot"})
    assert (answer.status_code, problem_type(answer)) == (422, "pool-refused")


async def test_a_plan_says_whether_it_can_be_carried_out(world: World) -> None:
    server = world.server()
    candidate = Candidate(Pool.parse(SPOT), "subnet-1", 0.03, 0.096, "cheapest")
    finding = Finding("volume_dies_with_instance", "vol-1 would be lost", "aws ec2 …")

    world.temporal.planned = Plan(Handoff.VOLUMES, POOL, [candidate])
    good = (await world.call("POST", f"/api/servers/{server.id}/plan")).json()
    world.temporal.planned = Plan(Handoff.VOLUMES, POOL, [candidate], findings=[finding])
    blocked = (await world.call("POST", f"/api/servers/{server.id}/plan")).json()

    assert good["executable"]
    assert good["candidates"][0]["pool"] == SPOT
    assert not blocked["executable"]
    assert blocked["findings"][0] == asdict(finding)


async def test_a_plan_of_a_server_without_primary_is_refused(world: World) -> None:
    server = world.server()
    world.temporal.view = ServerView(world.temporal.view.shape.__class__())
    assert (await world.call("POST", f"/api/servers/{server.id}/plan")).status_code == 409
