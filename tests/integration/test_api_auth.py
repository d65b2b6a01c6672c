"""Invariant 7: no client sees or touches what is another's, and nothing is open by accident."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy.pool import QueuePool

from api.access.callers import GuardedRoute, token_kinds_of
from api.access.tokens import InstanceIdentity, TokenKind, read_instance, sign_instance
from api.app import create_app
from api.services import Services
from tests.api_world import KEY, World, problem_type, silent_database, unique, unreachable_database

pytest_plugins = ["tests.api_fixtures"]

PATIENCE_S = 20.0


def routes_under_api(services: Services) -> Iterator[tuple[str, str, APIRoute]]:
    for context in iter_route_contexts(create_app(services).routes):
        if isinstance(context.route, APIRoute) and str(context.path).startswith("/api"):
            for method in context.route.methods or ():
                yield method, str(context.path), context.route


def concrete(path: str) -> str:
    for name in ("server_id", "operation_id", "instance_id", "client_id", "token_id"):
        path = path.replace("{" + name + "}", "x-1")
    return path


def test_every_route_under_api_declares_who_may_call_it(world: World) -> None:
    found = list(routes_under_api(world.services))
    assert len(found) > 25
    assert [f"{method} {path}" for method, path, route in found if not token_kinds_of(route.dependant)] == []


def test_a_route_without_a_caller_cannot_even_be_made() -> None:
    with pytest.raises(TypeError, match="declares no caller"):
        GuardedRoute("/open", lambda: None)


async def test_no_route_under_api_answers_without_a_token_or_with_a_wrong_one(world: World) -> None:
    for method, path, _ in routes_under_api(world.services):
        for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": f"Bearer {forged(world)}"}):
            answer = await world.http.request(method, concrete(path), headers=headers)
            assert answer.status_code == 401, f"{method} {path} with {headers}"
            assert problem_type(answer) == "unauthenticated"
            assert answer.headers["www-authenticate"].startswith("Bearer")


def forged(world: World) -> str:
    """The right ID with another secret."""
    return world.tenant.token[:-4] + "0000"


async def test_each_route_refuses_the_kinds_it_does_not_name(world: World) -> None:
    tokens = {TokenKind.ADMIN: world.admin["Authorization"][7:], TokenKind.CLIENT: world.tenant.token}
    tokens[TokenKind.INSTANCE] = instance_token(world, "i-1", "srv-1")
    for method, path, route in routes_under_api(world.services):
        for kind in set(TokenKind) - token_kinds_of(route.dependant):
            headers = {"Authorization": f"Bearer {tokens[kind]}"}
            answer = await world.http.request(method, concrete(path), headers=headers)
            assert answer.status_code == 403, f"{method} {path} as {kind}"


def instance_token(world: World, instance_id: str, server_id: str, *, minutes: int = 60) -> str:
    until = datetime.now(UTC) + timedelta(minutes=minutes)
    return sign_instance(KEY, InstanceIdentity(instance_id, world.tenant.client_id, server_id, until))


async def test_what_belongs_to_another_client_is_not_there(world: World) -> None:
    theirs = world.server(world.other)
    operation = world.operation(theirs)
    replica = world.instance(theirs, "replica")
    for method, path in (
        ("GET", f"/api/servers/{theirs.id}"),
        ("PATCH", f"/api/servers/{theirs.id}"),
        ("DELETE", f"/api/servers/{theirs.id}"),
        ("POST", f"/api/servers/{theirs.id}/plan"),
        ("POST", f"/api/servers/{theirs.id}/switch"),
        ("POST", f"/api/servers/{theirs.id}/failover"),
        ("POST", f"/api/servers/{theirs.id}/replica"),
        ("DELETE", f"/api/servers/{theirs.id}/replica"),
        ("POST", f"/api/servers/{theirs.id}/promote"),
        ("GET", f"/api/instances/{replica.id}"),
        ("POST", f"/api/instances/{replica.id}/terminate"),
        ("GET", f"/api/operations/{operation.id}"),
        ("POST", f"/api/operations/{operation.id}/cancel"),
        ("POST", f"/api/operations/{operation.id}/approve"),
        ("GET", f"/api/operations/{operation.id}/stream"),
        ("GET", f"/api/clients/{world.other.client_id}"),
        ("GET", f"/api/clients/{world.other.client_id}/tokens"),
        ("POST", f"/api/clients/{world.other.client_id}/tokens"),
    ):
        body: dict[str, object] | None = {"policy": {}} if method == "PATCH" else {} if method == "POST" else None
        answer = await world.call(method, path, json=body)
        assert answer.status_code == 404, f"{method} {path}"
        assert problem_type(answer) == "not-found"
    for path in ("/api/servers", "/api/instances", "/api/operations"):
        assert (await world.call("GET", path)).json()["items"] == []
    assert world.temporal.asked == []


async def test_a_revoked_token_ends_at_once(world: World) -> None:
    place = f"/api/clients/{world.tenant.client_id}/tokens"
    made = (await world.call("POST", place, json={"label": "new"})).json()
    new = {"Authorization": f"Bearer {made['token']}"}
    assert (await world.http.get("/api/servers", headers=new)).status_code == 200

    assert (await world.call("DELETE", f"{place}/{made['id']}")).status_code == 204

    assert (await world.http.get("/api/servers", headers=new)).status_code == 401
    assert made["token"] not in (await world.call("GET", place)).text


async def test_an_admin_acts_for_a_client_only_when_it_names_one(world: World) -> None:
    server = world.server()
    place = f"/api/servers/{server.id}/switch"
    assert (await world.http.post(place, headers=world.admin)).status_code == 403

    named = world.admin | {"X-Spot-Client": world.tenant.client_id}
    assert (await world.http.post(place, headers=named)).status_code == 202
    assert world.temporal.asked[0][1].requested_by == "bootstrap"

    unknown = world.admin | {"X-Spot-Client": "cli-nobody"}
    assert (await world.http.post(place, headers=unknown)).status_code == 404


async def test_a_client_cannot_name_another_client(world: World) -> None:
    server = world.server(world.other)
    answer = await world.call("GET", f"/api/servers/{server.id}", headers={"X-Spot-Client": world.other.client_id})
    assert answer.status_code == 404


async def test_an_admin_sees_every_clients_servers(world: World) -> None:
    ours, theirs = world.server(), world.server(world.other)
    listed = (await world.http.get("/api/servers?limit=500", headers=world.admin)).json()["items"]
    assert {ours.id, theirs.id} <= {server["id"] for server in listed}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"aud": "somebody-else"}, "another audience"),
        ({"exp": datetime.now(UTC) - timedelta(seconds=1)}, "expired"),
        ({"sub": None}, "no instance"),
    ],
)
def test_an_instance_token_is_good_for_its_audience_and_its_hour(change: dict[str, object], why: str) -> None:
    good = {
        "sub": "i-1",
        "cid": "cli-1",
        "sid": "srv-1",
        "aud": "spot-agent",
        "exp": datetime.now(UTC) + timedelta(hours=1),
    }
    assert read_instance(KEY, jwt.encode(good, KEY, "HS256")) is not None
    claims = {name: value for name, value in (good | change).items() if value is not None}
    assert read_instance(KEY, jwt.encode(claims, KEY, "HS256")) is None, why
    assert read_instance(KEY, jwt.encode(good, "x" * 32, "HS256")) is None
    assert read_instance(KEY, jwt.encode(good, "", "none")) is None


async def test_a_rescue_goes_through_while_the_database_is_down(world: World) -> None:
    """Invariant 6, for who was here a moment ago: token and server are remembered, nothing else opens."""
    server = world.server()
    await world.call("GET", f"/api/servers/{server.id}")
    theirs = world.server(world.other)
    await world.call("POST", f"/api/servers/{theirs.id}/failover", world.other)
    await world.call("POST", f"/api/servers/{server.id}/failover")
    world.temporal.asked.clear()
    world.services.database = unreachable_database()

    answer = await world.call("POST", f"/api/servers/{server.id}/failover")

    assert answer.status_code == 202, answer.text
    assert [call for call, _ in world.temporal.asked] == ["request"]
    assert (await world.call("POST", f"/api/servers/{theirs.id}/failover")).status_code == 404
    switch = await world.call("POST", f"/api/servers/{server.id}/switch")
    assert switch.status_code == 503
    assert problem_type(switch) == "database-unreachable"
    assert switch.headers["retry-after"]
    forged_token = {"Authorization": f"Bearer {forged(world)}"}
    refused = await world.http.post(f"/api/servers/{server.id}/failover", headers=forged_token)
    assert refused.status_code == 503


@pytest.mark.parametrize("cookie", [False, True])
async def test_a_rescue_goes_through_while_the_database_lets_everybody_wait(
    world: World, monkeypatch: pytest.MonkeyPatch, cookie: bool
) -> None:
    """A host that swallows packets: others fill every thread with their waiting."""
    monkeypatch.setattr("api.database.RESCUE_WAIT_S", 0.05)
    server = world.server()
    place = f"/api/servers/{server.id}"
    headers = world.tenant.headers
    if cookie:
        page = {"Origin": "http://api.test"}
        signed = await world.http.post("/api/session", json={"token": world.tenant.token}, headers=page)
        headers = {**page, "X-CSRF-Token": signed.json()["csrf_token"]}
    assert (await world.http.post(f"{place}/failover", headers=headers)).status_code == 202
    world.temporal.asked.clear()

    with silent_database() as world.services.database:
        others = [asyncio.create_task(world.http.get(place, headers=headers)) for _ in range(50)]
        unknown = {"Authorization": f"Bearer {forged(world)}"}
        others.append(asyncio.create_task(world.http.post(f"{place}/failover", headers=unknown)))
        await asyncio.sleep(0)
        async with asyncio.timeout(PATIENCE_S):
            answer = await world.http.post(f"{place}/failover", headers={**headers, "Idempotency-Key": unique("key")})
        assert answer.status_code == 202, answer.text
        assert [call for call, _ in world.temporal.asked] == ["request"]
        assert not any(other.done() for other in others), "they wait for the database"
    assert {other.status_code for other in await asyncio.gather(*others)} == {503}
    assert len(world.temporal.asked) == 1


async def test_as_many_queries_run_at_once_as_the_pool_has_connections(world: World) -> None:
    pool = world.services.database.engine.pool
    assert isinstance(pool, QueuePool)
    several = pool.size() + pool._max_overflow
    all_at_work = threading.Barrier(several)
    app = create_app(world.services)
    async with app.router.lifespan_context(app):
        queries = [world.services.database.read(lambda _: all_at_work.wait(PATIENCE_S)) for _ in range(several)]
        assert sorted(await asyncio.gather(*queries)) == list(range(several))
