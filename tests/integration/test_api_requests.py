"""Bad input gets a clear answer, and changes nothing; the same request twice is the same operation."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from api.gateway import AlreadyRunning, NoSuchWorkflow, NoWorker, OperationsError, Refused, TemporalUnreachable
from domain.adoption import AdoptResult, Finding, Plan
from domain.errors import Failure
from domain.names import operation_id
from domain.operations import OperationKind, Priority, Refusal, ServerView
from domain.pools import Candidate, Pool
from domain.servers import Handoff, Retire, ServerPolicy
from tests.api_world import POOL, SPOT, World, problem, unique

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
        assert problem(answer) == "idempotency-key-reused"
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
    assert problem(answer) == "invalid-request"
    assert world.temporal.asked == []


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Refused(Refusal.BUSY, "a switch runs"), 409, "busy"),
        (Refused(Refusal.SAME_POOL, "there already"), 422, "same-pool"),
        (Refused(Refusal.NO_PRIMARY, "none"), 409, "no-primary"),
        (Refused(Refusal.NO_REPLICA, "none"), 409, "no-replica"),
        (Refused(Refusal.HAS_REPLICA, "i-1"), 409, "has-replica"),
        (Refused(Refusal.ENDED, "gone"), 409, "ended"),
        (Refused(Refusal.REQUEST_ID_REUSED, "other body"), 409, "idempotency-key-reused"),
        (NoSuchWorkflow("not found"), 409, "ended"),
        (NoWorker("nobody"), 503, "no-worker"),
        (TemporalUnreachable("Temporal at temporal.test:7233: refused"), 503, "temporal-unreachable"),
        (Refused("SomethingNew", "with a secret inside"), 500, "internal"),
        (OperationsError("with a secret inside"), 500, "internal"),
    ],
)
async def test_what_the_workflow_refuses_is_said_in_words(
    world: World, error: OperationsError, status: int, slug: str
) -> None:
    server = world.server()
    world.temporal.error = error
    answer = await world.call("POST", f"/api/servers/{server.id}/switch")
    assert answer.status_code == status
    assert problem(answer) == slug
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
    assert problem(answer) == "invalid-request"
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
    assert problem(answer) == "too-large"


@pytest.mark.parametrize("path", ["/api/nothing", "/api/servers/%00", "/api/operations/%F0%9F%98%80"])
async def test_what_does_not_exist_is_a_problem_too(world: World, path: str) -> None:
    answer = await world.call("GET", path)
    assert answer.status_code == 404
    assert problem(answer) == "not-found"


async def test_an_unforeseen_error_says_nothing_of_its_inside(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("password=hunter2")

    server = world.server()
    monkeypatch.setattr(world.temporal, "request", broken)
    answer = await world.call("POST", f"/api/servers/{server.id}/switch")
    assert answer.status_code == 500
    assert problem(answer) == "internal"
    assert "hunter2" not in answer.text
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


# --- pools


async def test_a_switch_to_the_pool_it_is_in_is_refused(world: World) -> None:
    server = world.server()
    answer = await world.call("POST", f"/api/servers/{server.id}/switch", json={"pool": POOL})
    assert (answer.status_code, problem(answer)) == (422, "same-pool")


async def test_a_pool_that_the_plan_refuses_starts_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    server = world.server()

    async def refuses(_: object) -> Plan:
        raise Refused(Failure.REFUSED, "m6g.large is arm64, the image is x86_64")

    monkeypatch.setattr(world.temporal, "plan", refuses)
    wanted = {"pool": "us-east-1a/m6g.large/spot"}
    for what in ("switch", "plan"):
        answer = await world.call("POST", f"/api/servers/{server.id}/{what}", json=wanted)
        assert (answer.status_code, problem(answer)) == (422, "pool-refused")
        assert "arm64" in answer.json()["detail"]
    assert world.temporal.asked == []


@pytest.mark.parametrize("what", ["switch", "plan"])
async def test_a_pool_in_another_region_is_refused(world: World, what: str) -> None:
    server = world.server()
    answer = await world.call("POST", f"/api/servers/{server.id}/{what}", json={"pool": "eu-west-1a/m5.large/spot"})
    assert (answer.status_code, problem(answer)) == (422, "pool-refused")


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


# --- adoption


async def test_adoption_is_refused_with_what_would_be_lost(world: World) -> None:
    lost = Finding("root_is_instance_store", "the root volume is instance store", "move it to EBS")
    world.temporal.adoption = AdoptResult(findings=[lost])

    refused = await world.call("POST", "/api/servers", json=adoption())
    looked = await world.call("POST", "/api/servers", json=adoption(dry_run=True))

    assert (refused.status_code, problem(refused)) == (422, "adoption-refused")
    assert refused.json()["findings"] == [asdict(lost)]
    assert looked.status_code == 200
    assert looked.json()["findings"] == [asdict(lost)]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (Refused(Failure.GONE, "i-1 does not exist"), 404, "instance-not-found"),
        (Refused(Failure.REFUSED, "it is in another account"), 422, "adoption-refused"),
        (Refused(Failure.PERMISSION_MISSING, "ec2:DescribeInstances"), 422, "aws-permission-missing"),
        (Refused(Failure.UNAVAILABLE, "EC2 answers 503"), 503, "aws-unavailable"),
        (AlreadyRunning("adopt/…"), 409, "being-adopted"),
    ],
)
async def test_an_adoption_that_fails_says_why(world: World, error: OperationsError, status: int, slug: str) -> None:
    world.temporal.error = error
    answer = await world.call("POST", "/api/servers", json=adoption())
    assert (answer.status_code, problem(answer)) == (status, slug)


async def test_an_instance_that_is_adopted_is_not_adopted_again_by_anybody(world: World) -> None:
    server = world.server()
    instance = (await world.call("GET", f"/api/instances?server_id={server.id}")).json()["items"][0]["id"]
    ours = await world.call("POST", "/api/servers", json=adoption(instance_id=instance))
    theirs = await world.call("POST", "/api/servers", world.other, json=adoption(instance_id=instance))
    assert problem(ours) == problem(theirs) == "already-adopted"
    assert server.id in ours.text
    assert server.id not in theirs.text
    assert world.temporal.asked == []


async def test_a_name_in_use_is_refused(world: World) -> None:
    server = world.server()
    answer = await world.call("POST", "/api/servers", json=adoption(name=server.name))
    assert (answer.status_code, problem(answer)) == (409, "name-taken")


async def test_an_adoption_sent_twice_is_one_and_its_key_means_nothing_else(world: World) -> None:
    body, key = adoption(), {"Idempotency-Key": unique("key")}
    first = await world.call("POST", "/api/servers", json=body, headers=key)
    assert first.status_code == 201, first.text
    world.server(id=first.json()["server_id"], name=body["name"])

    again = await world.call("POST", "/api/servers", json=body, headers=key)
    other = await world.call("POST", "/api/servers", json=body | {"policy": {"drain_s": 1}}, headers=key)

    assert (again.status_code, again.json()["server_id"]) == (201, first.json()["server_id"])
    assert again.headers["idempotent-replay"] == "true"
    assert (other.status_code, problem(other)) == (409, "idempotency-key-reused")
    assert len(world.temporal.asked) == 1


# --- launch, terminate, policy, operations


async def test_a_new_server_is_launched_by_its_own_workflow(world: World) -> None:
    body = {"name": unique("name"), "region": "us-east-1", "launch": {"image_id": "ami-1", "pool": SPOT}}
    for place in ("/api/servers", "/api/instances"):
        answer = await world.call("POST", place, json=body)
        assert answer.status_code == 202, answer.text
    (_, (start, request)), _ = world.temporal.asked
    assert (start.server.name, request.kind, request.launch.image_id) == (body["name"], OperationKind.LAUNCH, "ami-1")


async def test_a_primary_is_terminated_only_by_name(world: World) -> None:
    server = world.server()
    primary = (await world.call("GET", f"/api/instances?server_id={server.id}")).json()["items"][0]["id"]
    replica = world.instance(server, "replica")
    retired = world.instance(server, None, state="terminated")

    unsaid = await world.call("POST", f"/api/instances/{primary}/terminate")
    nothing = await world.call("POST", f"/api/instances/{retired.id}/terminate")
    assert (unsaid.status_code, problem(unsaid)) == (422, "confirmation-needed")
    assert nothing.status_code == 409
    assert world.temporal.asked == []

    await world.call("POST", f"/api/instances/{replica.id}/terminate")
    await world.call("POST", f"/api/instances/{primary}/terminate", json={"confirm": server.name})
    assert [asked.kind for _, asked in world.temporal.asked] == [OperationKind.REPLICA_DROP, OperationKind.TERMINATE]


async def test_a_policy_changes_in_the_fields_that_are_given(world: World) -> None:
    server = world.server(policy=asdict(ServerPolicy(drain_s=5, retire=Retire.KEEP_REPLICA)))
    answer = await world.call("PATCH", f"/api/servers/{server.id}", json={"policy": {"cool_down_s": 60}})
    assert answer.status_code == 200, answer.text
    [(_, policy)] = world.temporal.asked
    assert policy == ServerPolicy(drain_s=5, retire=Retire.KEEP_REPLICA, cool_down_s=60)
    assert answer.json()["policy"]["cool_down_s"] == 60


async def test_cancel_and_approve_answer_by_the_operations_state(world: World) -> None:
    server = world.server()
    running = world.operation(server)
    over = world.operation(server, status="committed", finished_at=datetime.now(UTC))

    assert (await world.call("POST", f"/api/operations/{running.id}/cancel")).status_code == 202
    assert world.temporal.asked == [("cancel", running.id)]
    late = await world.call("POST", f"/api/operations/{over.id}/cancel")
    assert (late.status_code, problem(late)) == (409, "already-final")
    nothing = await world.call("POST", f"/api/operations/{running.id}/approve")
    assert (nothing.status_code, problem(nothing)) == (409, "nothing-to-approve")


async def test_lists_come_in_pages(world: World) -> None:
    made = {world.server().id for _ in range(5)}
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = (
            await world.call("GET", "/api/servers", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        seen += [server["id"] for server in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == 5
    assert set(seen) == made
    for query in ("limit=501", "limit=0", "cursor=nonsense"):
        assert (await world.call("GET", f"/api/servers?{query}")).status_code == 422


async def test_the_document_of_the_api_names_every_answer(world: World) -> None:
    document = (await world.http.get("/openapi.json")).json()
    accepted = document["paths"]["/api/servers/{server_id}/switch"]["post"]["responses"]
    assert accepted["202"]["content"]["application/json"]["schema"]["$ref"].endswith("/AcceptedView")
    assert "ProblemDocument" in document["components"]["schemas"]
    assert "HTTPValidationError" not in str(document["paths"])
