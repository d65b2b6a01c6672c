"""Servers come, change and go: adoption, launch, policy, termination, and the lists of it all."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import pytest

from api.temporal.client import AlreadyRunning, WorkflowCallError, WorkflowRefused
from domain.adoption import AdoptResult, Finding
from domain.errors import Failure
from domain.operations import OperationKind
from domain.servers import Retire, ServerPolicy
from tests.api_world import SPOT, World, problem_type, unique

pytest_plugins = ["tests.api_fixtures"]


def adoption(**values: Any) -> dict[str, Any]:
    return {"name": unique("name"), "region": "us-east-1", "instance_id": unique("i").replace("-", "-0", 1)} | values


# --- adoption


async def test_adoption_is_refused_with_what_would_be_lost(world: World) -> None:
    lost = Finding("root_is_instance_store", "the root volume is instance store", "move it to EBS")
    world.temporal.adoption = AdoptResult(findings=[lost])

    refused = await world.call("POST", "/api/servers", json=adoption())
    looked = await world.call("POST", "/api/servers", json=adoption(dry_run=True))

    assert (refused.status_code, problem_type(refused)) == (422, "adoption-refused")
    assert refused.json()["findings"] == [asdict(lost)]
    assert looked.status_code == 200
    assert looked.json()["findings"] == [asdict(lost)]


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (WorkflowRefused(Failure.GONE, "i-1 does not exist"), 404, "instance-not-found"),
        (WorkflowRefused(Failure.REFUSED, "it is in another account"), 422, "adoption-refused"),
        (WorkflowRefused(Failure.PERMISSION_MISSING, "ec2:DescribeInstances"), 422, "aws-permission-missing"),
        (WorkflowRefused(Failure.UNAVAILABLE, "EC2 answers 503"), 503, "aws-unavailable"),
        (AlreadyRunning("adopt/…"), 409, "being-adopted"),
    ],
)
async def test_an_adoption_that_fails_says_why(world: World, error: WorkflowCallError, status: int, slug: str) -> None:
    world.temporal.error = error
    answer = await world.call("POST", "/api/servers", json=adoption())
    assert (answer.status_code, problem_type(answer)) == (status, slug)


async def test_an_instance_that_is_adopted_is_not_adopted_again_by_anybody(world: World) -> None:
    server = world.server()
    instance = (await world.call("GET", f"/api/instances?server_id={server.id}")).json()["items"][0]["id"]
    ours = await world.call("POST", "/api/servers", json=adoption(instance_id=instance))
    theirs = await world.call("POST", "/api/servers", world.other, json=adoption(instance_id=instance))
    assert problem_type(ours) == problem_type(theirs) == "already-adopted"
    assert server.id in ours.text
    assert server.id not in theirs.text
    assert world.temporal.asked == []


async def test_a_name_in_use_is_refused(world: World) -> None:
    server = world.server()
    answer = await world.call("POST", "/api/servers", json=adoption(name=server.name))
    assert (answer.status_code, problem_type(answer)) == (409, "name-taken")


async def test_an_adoption_sent_twice_is_one_and_its_key_means_nothing_else(world: World) -> None:
    body, key = adoption(), {"Idempotency-Key": unique("key")}
    first = await world.call("POST", "/api/servers", json=body, headers=key)
    assert first.status_code == 201, first.text
    world.server(id=first.json()["server_id"], name=body["name"])

    again = await world.call("POST", "/api/servers", json=body, headers=key)
    other = await world.call("POST", "/api/servers", json=body | {"policy": {"drain_s": 1}}, headers=key)

    assert (again.status_code, again.json()["server_id"]) == (201, first.json()["server_id"])
    assert again.headers["idempotent-replay"] == "true"
    assert (other.status_code, problem_type(other)) == (409, "idempotency-key-reused")
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
    assert (unsaid.status_code, problem_type(unsaid)) == (422, "confirmation-needed")
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
    assert (late.status_code, problem_type(late)) == (409, "already-final")
    nothing = await world.call("POST", f"/api/operations/{running.id}/approve")
    assert (nothing.status_code, problem_type(nothing)) == (409, "nothing-to-approve")


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
