"""`POST /api/servers/{server_id}/resume`: whose it is, what it says when it is refused, and the same key again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from api.access.tokens import TokenKind, issue_token
from api.temporal.client import AlreadyRunning, NoWorker, WorkflowCallError, WorkflowRefused
from db.clients.tokens import create_token
from db.tables import Audit
from domain.adoption import Finding
from domain.errors import Failure
from domain.operations import Refusal
from domain.resumption import ResumeInput, ResumeResult, instances_left
from domain.servers import Placement
from tests.api_world import POOL, World, problem_type, unique
from tests.database_schemas import NOW

pytest_plugins = ["tests.api_fixtures"]

RUNS = Finding("workflow_runs", "server/srv-1 runs: there is nothing to resume")
SILENT = Finding("silent_agent", "the agent on i-0 does not answer in this Temporal", "start it")


def audited(world: World, subject: str) -> list[Audit]:
    with world.services.database.sessions() as session:
        return list(session.scalars(select(Audit).where(Audit.subject == subject)))


async def test_a_server_is_resumed_and_it_is_audited(world: World) -> None:
    server, key = world.server(), unique("key")
    world.temporal.resumed = ResumeResult(True, placement=Placement("i-0", POOL), ended=["op-1"])
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", headers={"Idempotency-Key": key})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["server_id"], told["resumed"], told["ended"]) == (server.id, True, ["op-1"])
    [(call, work)] = world.temporal.asked
    assert (call, type(work), work.request_id, work.dry_run) == ("resume", ResumeInput, key, False)
    assert (work.server.server_id, work.server.client_id) == (server.id, world.tenant.client_id)
    [row] = audited(world, server.id)
    assert (row.action, row.outcome, row.details) == ("server.resume", "done", {"ended": ["op-1"]})


async def test_the_same_key_is_the_same_answer_and_audited_once(world: World) -> None:
    server, key = world.server(), {"Idempotency-Key": unique("key")}
    first = await world.call("POST", f"/api/servers/{server.id}/resume", headers=key)
    world.temporal.resumed = replace(world.temporal.resumed, repeated=True)
    again = await world.call("POST", f"/api/servers/{server.id}/resume", headers=key)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["Idempotent-Replay"] == "true"
    (_, one), (_, other) = world.temporal.asked
    assert one == other
    assert len(audited(world, server.id)) == 1


async def test_a_key_that_asked_for_an_operation_is_refused(world: World) -> None:
    server, key = world.server(), unique("key")
    world.operation(server, request_id=key)
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", headers={"Idempotency-Key": key})
    assert (answer.status_code, problem_type(answer)) == (409, "idempotency-key-reused")
    assert world.temporal.asked == []


async def test_what_is_in_the_way_refuses_it_with_words(world: World) -> None:
    server = world.server()
    world.temporal.resumed = ResumeResult(findings=[RUNS])
    answer = await world.call("POST", f"/api/servers/{server.id}/resume")
    assert (answer.status_code, problem_type(answer)) == (409, "resume-refused")
    assert (answer.json()["detail"], answer.json()["findings"][0]["code"]) == (RUNS.what, "workflow_runs")
    assert audited(world, server.id) == []


async def test_a_dry_run_tells_what_is_in_the_way_and_is_no_error(world: World) -> None:
    server = world.server()
    world.temporal.resumed = ResumeResult(findings=[SILENT])
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", json={"dry_run": True})
    assert (answer.status_code, answer.json()["resumed"]) == (200, False)
    assert answer.json()["findings"][0]["mend"] == "start it"
    [(_, work)] = world.temporal.asked
    assert work.dry_run


async def test_what_is_accepted_is_passed_on(world: World) -> None:
    server = world.server()
    body = {"accept": ["silent_agent"]}
    assert (await world.call("POST", f"/api/servers/{server.id}/resume", json=body)).status_code == 200
    [(_, work)] = world.temporal.asked
    assert work.accept == ["silent_agent"]
    assert (await world.call("POST", f"/api/servers/{server.id}/resume", json={"force": True})).status_code == 422


async def test_another_clients_server_is_not_there(world: World) -> None:
    server = world.server()
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", world.other)
    unknown = await world.call("POST", "/api/servers/srv-unknown/resume")
    assert (answer.status_code, unknown.status_code) == (404, 404)
    assert world.temporal.asked == []


async def test_a_token_that_only_reads_does_not_resume(world: World) -> None:
    """An admin's, as long as it names no client to act for."""
    path, reader = f"/api/servers/{world.server().id}/resume", issue_token(TokenKind.ADMIN)
    with world.services.database.sessions.begin() as session:
        create_token(session, reader.token_id, reader.digest, NOW, client_id=None)
    reads = {"Authorization": f"Bearer {reader.text}"}
    assert (await world.http.get("/api/servers", headers=reads)).status_code == 200
    assert (await world.http.post(path, headers=reads)).status_code == 403
    assert (await world.http.post(path)).status_code == 401
    assert world.temporal.asked == []
    acting = reads | {"X-Spot-Client": world.tenant.client_id}
    assert (await world.http.post(path, headers=acting)).status_code == 200


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (AlreadyRunning("at work"), 409, "being-resumed"),
        (NoWorker("no worker"), 503, "no-worker"),
        (WorkflowRefused(Failure.REFUSED, "records have come in"), 409, "resume-refused"),
        (WorkflowRefused(Refusal.REQUEST_ID_REUSED, "used"), 409, "idempotency-key-reused"),
        (WorkflowRefused(Failure.UNAVAILABLE, "EC2 is away"), 503, "aws-unavailable"),
        (WorkflowRefused(Failure.PERMISSION_MISSING, "ec2:DescribeInstances"), 422, "aws-permission-missing"),
    ],
)
async def test_each_failure_has_its_own_answer(world: World, error: WorkflowCallError, status: int, slug: str) -> None:
    server = world.server()
    world.temporal.error = error
    answer = await world.call("POST", f"/api/servers/{server.id}/resume")
    assert (answer.status_code, problem_type(answer)) == (status, slug)


async def test_a_server_is_let_go_and_that_is_audited_as_such(world: World) -> None:
    server = world.server()
    world.temporal.resumed = ResumeResult(let_go=True, ended=["op-1"])
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", json={"let_go": True})
    assert (answer.status_code, answer.json()["resumed"], answer.json()["let_go"]) == (200, False, True)
    [(_, work)] = world.temporal.asked
    assert work.let_go
    assert [row.action for row in audited(world, server.id)] == ["server.let_go"]


async def test_what_is_left_of_it_refuses_to_let_it_go(world: World) -> None:
    server = world.server()
    world.temporal.resumed = ResumeResult(findings=[instances_left(["i-7"])])
    answer = await world.call("POST", f"/api/servers/{server.id}/resume", json={"let_go": True})
    assert (answer.status_code, problem_type(answer)) == (409, "resume-refused")
    assert "i-7" in answer.json()["detail"]
