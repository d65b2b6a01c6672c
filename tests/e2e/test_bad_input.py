"""Bad input over the real API of a real system gets a clear answer, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site
from tests.e2e.refused_requests import assert_refused, nothing_changes

ASKED_OF_A_SERVER = (
    ("GET", "/api/servers/{}"),
    ("PATCH", "/api/servers/{}"),
    ("DELETE", "/api/servers/{}"),
    ("POST", "/api/servers/{}/plan"),
    ("POST", "/api/servers/{}/switch"),
    ("POST", "/api/servers/{}/failover"),
    ("POST", "/api/servers/{}/replica"),
    ("DELETE", "/api/servers/{}/replica"),
    ("POST", "/api/servers/{}/promote"),
)
ASKED_OF_AN_OPERATION = (
    ("GET", "/api/operations/{}"),
    ("GET", "/api/operations/{}/stream"),
    ("POST", "/api/operations/{}/cancel"),
)


@pytest.fixture(scope="module")
def site(calm_site: Site) -> Site:
    return calm_site


@pytest.fixture(scope="module")
def orders(site: Site) -> AdoptedServer:
    (server,) = site.adopt_servers(ServerSpec("orders", "volumes", 8))
    return server


@pytest.fixture(scope="module")
def stranger(site: Site) -> Iterator[httpx.Client]:
    """Another client with a valid token."""
    with site.stack.admin() as admin:
        client = admin.post("/api/clients", json={"name": "stranger"}).raise_for_status().json()["id"]
        made = admin.post(f"/api/clients/{client}/tokens", json={"label": "test"}).raise_for_status().json()
    with site.stack.api(made["token"]) as http:
        yield http


def ask(http: httpx.Client, method: str, path: str) -> httpx.Response:
    body: dict[str, Any] = {"policy": {"drain_s": 1.0}} if method == "PATCH" else {}
    return http.request(method, path, json=body if method in ("POST", "PATCH") else None)


# --- who


@pytest.mark.parametrize(("method", "path"), ASKED_OF_A_SERVER)
def test_a_server_that_does_not_exist_or_is_anothers_is_not_found(
    site: Site, orders: AdoptedServer, stranger: httpx.Client, method: str, path: str
) -> None:
    with nothing_changes(site):
        unknown = assert_refused(ask(site.http, method, path.format("srv-unknown")), 404, "not-found")
        anothers = assert_refused(ask(stranger, method, path.format(orders.id)), 404, "not-found")
    assert "srv-unknown" in unknown["detail"]
    assert anothers["detail"] == f"there is no server {orders.id}", "says no more than of one that does not exist"


@pytest.mark.parametrize(("method", "path"), ASKED_OF_AN_OPERATION)
def test_an_operation_that_does_not_exist_is_not_found(
    site: Site, orders: AdoptedServer, method: str, path: str
) -> None:
    with nothing_changes(site):
        assert_refused(ask(site.http, method, path.format("op-unknown")), 404, "not-found")


@pytest.mark.parametrize(("method", "path"), [*ASKED_OF_A_SERVER, ("POST", "/api/servers"), ("GET", "/api/servers")])
def test_no_token_and_a_wrong_token_are_not_let_in(site: Site, orders: AdoptedServer, method: str, path: str) -> None:
    right = site.stack.credentials.client_token
    wrong = (right[:-1] + ("0" if right[-1] != "0" else "1"), "spt_client_unknown_secret", "not-one-of-ours")
    with nothing_changes(site), httpx.Client(base_url=site.stack.urls["api"], trust_env=False) as nobody:
        answer = ask(nobody, method, path.format(orders.id))
        assert_refused(answer, 401, "unauthenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        for token in wrong:
            with site.stack.api(token) as http:
                assert_refused(ask(http, method, path.format(orders.id)), 401, "unauthenticated")


def test_a_revoked_token_is_not_let_in(site: Site, orders: AdoptedServer) -> None:
    client = site.stack.credentials.client_id
    with site.stack.admin() as admin:
        made = admin.post(f"/api/clients/{client}/tokens", json={"label": "short"}).raise_for_status().json()
        with site.stack.api(made["token"]) as http, nothing_changes(site):
            assert http.get(f"/api/servers/{orders.id}").is_success
            assert admin.delete(f"/api/clients/{client}/tokens/{made['id']}").status_code == 204
            assert_refused(http.post(f"/api/servers/{orders.id}/switch", json={}), 401, "unauthenticated")


def test_a_token_of_the_wrong_kind_may_not(site: Site, orders: AdoptedServer) -> None:
    with nothing_changes(site), site.stack.admin() as admin:
        of_client = assert_refused(site.http.post("/api/clients", json={"name": "mine"}), 403, "forbidden")
        of_admin = assert_refused(admin.post(f"/api/servers/{orders.id}/switch", json={}), 403, "forbidden")
        of_agent = assert_refused(site.http.post("/api/agents/heartbeat", json={}), 403, "forbidden")
    assert "kind admin" in of_client["detail"]
    assert "X-Spot-Client" in of_admin["detail"]
    assert "kind instance" in of_agent["detail"]


# --- what


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("switch", b"{", "body"),
        ("switch", b"[]", "body"),
        ("switch", b'{"wait": "perhaps"}', "body.wait"),
        ("switch", b'{"wat": true}', "body.wat"),
        ("switch", b'{"pool": "us-east-1a"}', "body.pool"),
        ("switch", b'{"pool": 7}', "body.pool"),
        ("plan", b'{"pool": "us-east-1a/m5.large/sometimes"}', "body.pool"),
        ("replica", b'{"pool": "//"}', "body.pool"),
    ],
)
def test_a_malformed_body_names_its_field(
    site: Site, orders: AdoptedServer, path: str, body: bytes, field: str
) -> None:
    headers = {"Content-Type": "application/json"}
    with nothing_changes(site):
        answer = site.http.post(f"/api/servers/{orders.id}/{path}", content=body, headers=headers)
    document = assert_refused(answer, 422, "invalid-request")
    assert document["errors"][0]["field"].startswith(field), document
    assert document["errors"][0]["message"]


@pytest.mark.parametrize(
    ("policy", "field"),
    [
        ({"handoff": "teleport"}, "body.policy.handoff"),
        ({"drain_s": -1}, "body.policy.drain_s"),
        ({"failover_pools": 0}, "body.policy.failover_pools"),
        ({"max_spot_usd_per_hour": "cheap"}, "body.policy.max_spot_usd_per_hour"),
        ({"instance_types": ["large"]}, "body.policy.instance_types.0"),
    ],
)
def test_a_policy_with_bad_values_stays_as_it_is(
    site: Site, orders: AdoptedServer, policy: dict[str, Any], field: str
) -> None:
    before = site.api.server(orders.id)["policy"]
    document = assert_refused(
        site.http.patch(f"/api/servers/{orders.id}", json={"policy": policy}), 422, "invalid-request"
    )
    assert document["errors"][0]["field"] == field
    assert site.api.server(orders.id)["policy"] == before


@pytest.mark.parametrize("what", ["plan", "switch"])
@pytest.mark.parametrize(
    ("pool", "why"),
    [
        ("{home}/zz9.large/spot", "has no type zz9.large"),
        ("{home}/m6g.large/spot", "its image is x86_64"),
        ("{away}/m5.large/spot", "volumes cannot leave {home}"),
        ("eu-central-1a/m5.large/spot", "is not in us-east-1"),
    ],
)
def test_a_pool_that_cannot_be_says_why(site: Site, orders: AdoptedServer, what: str, pool: str, why: str) -> None:
    places = {"home": site.market_choice.home, "away": site.market_choice.other_zones[0]}
    # Any other type is refused first because the owner's list does not have it.
    with site.policy(orders, instance_types=[]), nothing_changes(site):
        answer = site.http.post(f"/api/servers/{orders.id}/{what}", json={"pool": pool.format(**places)})
    document = assert_refused(answer, 422, "pool-refused")
    assert why.format(**places) in document["detail"], document


def test_a_zone_without_a_subnet_is_refused(site: Site, orders: AdoptedServer) -> None:
    """The zone does not exist, or it has prices and its subnet was deleted."""
    zone = site.market_choice.other_zones[-1]
    site.ec2.delete_subnet(SubnetId=site.world["subnets"][zone])
    with site.policy(orders, instance_types=[], handoff="snapshot", zones=[]), nothing_changes(site):
        for none in (f"{site.stack.region}z", zone):
            answer = site.http.post(f"/api/servers/{orders.id}/switch", json={"pool": f"{none}/m5.large/spot"})
            assert f"no subnet in {none}" in assert_refused(answer, 422, "pool-refused")["detail"]


def test_a_switch_to_the_pool_it_is_in_is_refused(site: Site, orders: AdoptedServer) -> None:
    pool = site.primary(orders)["pool"]
    with nothing_changes(site):
        assert_refused(site.http.post(f"/api/servers/{orders.id}/switch", json={"pool": pool}), 422, "same-pool")


@pytest.mark.parametrize(
    ("method", "path", "kind"), [("DELETE", "replica", "no-replica"), ("POST", "promote", "no-replica")]
)
def test_what_needs_a_replica_says_so(site: Site, orders: AdoptedServer, method: str, path: str, kind: str) -> None:
    with nothing_changes(site):
        assert_refused(ask(site.http, method, f"/api/servers/{orders.id}/{path}"), 409, kind)


# --- twice


def test_a_second_operation_is_refused_by_who_does_not_wait_and_a_key_means_one_request(
    site: Site, orders: AdoptedServer
) -> None:
    path = f"/api/servers/{orders.id}/switch"
    operation_id = site.ask(orders, "switch", "the-first")
    busy = assert_refused(site.http.post(path, json={"wait": False}, headers={"Idempotency-Key": "other"}), 409, "busy")
    again = site.http.post(path, json={}, headers={"Idempotency-Key": "the-first"})
    site.end_of(operation_id)
    with nothing_changes(site):
        other = site.http.post(path, json={"wait": False}, headers={"Idempotency-Key": "the-first"})
        elsewhere = site.http.post(
            f"/api/servers/{orders.id}/replica", json={}, headers={"Idempotency-Key": "the-first"}
        )

    assert "running" in busy["detail"]
    assert again.status_code == 202
    assert again.json()["operation_id"] == operation_id
    assert again.headers["idempotent-replay"] == "true"
    assert operation_id in assert_refused(other, 409, "idempotency-key-reused")["detail"]
    assert_refused(elsewhere, 409, "idempotency-key-reused")
    assert site.api.operation_ids(orders.id) == [operation_id]
