"""Agents and trust: an agent proves which instance it is on, and gets no further than that instance."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from api.access.instance_identity import IdentityVerifier
from api.access.tokens import read_instance
from db.tables import Agent, Instance
from domain.host import NoticeKind
from domain.names import instance_queue
from tests.api_world import KEY, Tenant, World, problem_type, unreachable_database

pytest_plugins = ["tests.api_fixtures"]


@pytest.fixture(scope="module")
def aws() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, 2048)


@pytest.fixture(scope="module")
def certificate(aws: rsa.RSAPrivateKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "EC2 test")]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(aws.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(aws, SHA256())
    )
    path = tmp_path_factory.mktemp("aws") / "identity.pem"
    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


@pytest.fixture
def primary(world: World, certificate: Path) -> Instance:
    world.services.identities = IdentityVerifier.from_file(certificate)
    return world.instance(world.server(), "replica")


def identity(instance: Instance, key: rsa.RSAPrivateKey, **changes: Any) -> dict[str, Any]:
    document = json.dumps({"instanceId": instance.id, "region": instance.region, "accountId": "1"} | changes)
    signature = base64.encodebytes(key.sign(document.encode(), padding.PKCS1v15(), SHA256())).decode()
    return {"identity_document": document, "signature": signature, "agent_version": "1"}


async def register(world: World, body: dict[str, Any], tenant: Tenant | None = None) -> Any:
    return await world.call("POST", "/api/agents/register", tenant, json=body)


async def bearer(world: World, instance: Instance, aws: rsa.RSAPrivateKey) -> dict[str, str]:
    answer = await register(world, identity(instance, aws))
    assert answer.status_code == 200, answer.text
    return {"Authorization": f"Bearer {answer.json()['instance_token']}"}


async def test_an_agent_gets_a_token_for_its_instance_alone(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    answer = (await register(world, identity(primary, aws))).json()

    who = read_instance(KEY, answer["instance_token"])
    assert who is not None
    assert (who.instance_id, who.client_id, who.server_id) == (primary.id, world.tenant.client_id, primary.server_id)
    assert datetime.now(UTC) < who.expires_at <= datetime.now(UTC) + timedelta(hours=1)
    assert answer["task_queue"] == instance_queue(primary.id)
    assert answer["temporal_address"] == "127.0.0.1:7233"
    assert answer["server_id"] == primary.server_id


async def test_a_document_that_aws_did_not_sign_is_refused(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    forger = rsa.generate_private_key(65_537, 2048)
    good = identity(primary, aws)
    for body in (
        identity(primary, forger),
        good | {"identity_document": good["identity_document"].replace("us-east-1", "us-west-2")},
        good | {"signature": "not base64!"},
        good | {"signature": ""},
    ):
        answer = await register(world, body)
        assert (answer.status_code, problem_type(answer)) == (403, "identity-refused")


async def test_only_the_owner_of_a_live_instance_gets_in(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    gone = world.instance(world.server(), None, state="terminated")
    for body, tenant in (
        (identity(primary, aws), world.other),
        (identity(primary, aws, instanceId="i-unknown"), world.tenant),
        (identity(primary, aws, region="eu-west-1"), world.tenant),
        (identity(gone, aws), world.tenant),
    ):
        answer = await register(world, body, tenant)
        assert (answer.status_code, problem_type(answer)) == (404, "instance-not-known")


async def test_a_notice_reaches_the_workflow_with_the_database_down(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    """Invariant 6."""
    headers = await bearer(world, primary, aws)
    world.services.database = unreachable_database()
    now = datetime.now(UTC)
    heard = {
        "instance_id": primary.id,
        "kind": "interruption",
        "source": "imds",
        "seen_at": now.isoformat(),
        "deadline": (now + timedelta(minutes=2)).isoformat(),
        "something_newer": 1,
    }

    answer = await world.http.post("/api/agents/notice", headers=headers, json=heard)

    assert answer.status_code == 202, answer.text
    [(_, (server_id, notice))] = world.temporal.asked
    assert (server_id, notice.instance_id, notice.kind) == (primary.server_id, primary.id, NoticeKind.INTERRUPTION)
    assert answer.json() == {"notice_id": notice.notice_id}


async def test_an_instance_speaks_for_itself_alone(world: World, primary: Instance, aws: rsa.RSAPrivateKey) -> None:
    headers = await bearer(world, primary, aws)
    now = datetime.now(UTC).isoformat()
    for path, body in (
        ("heartbeat", {"instance_id": "i-other"}),
        ("notice", {"instance_id": "i-other", "kind": "interruption", "seen_at": now}),
    ):
        answer = await world.http.post(f"/api/agents/{path}", headers=headers, json=body)
        assert answer.status_code == 403
    assert world.temporal.asked == []


async def test_a_heartbeat_shows_on_the_instance(world: World, primary: Instance, aws: rsa.RSAPrivateKey) -> None:
    headers = await bearer(world, primary, aws)
    body = {"instance_id": primary.id, "agent_version": "1", "at": datetime.now(UTC).isoformat()}
    taken = await world.http.post("/api/agents/heartbeat", headers=headers, json=body)
    assert (taken.status_code, taken.json()) == (200, {"next_in_s": 15.0})
    shown = (await world.call("GET", f"/api/instances/{primary.id}")).json()
    assert shown["agent_version"] == "1"
    assert shown["agent_seen_at"]


async def test_a_large_fleet_is_told_to_be_heard_of_less_often(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    world.services.heartbeat_rate.hosts = 10_000
    registered = (await register(world, identity(primary, aws))).json()
    assert registered["heartbeat_interval_s"] == 200
    headers = {"Authorization": f"Bearer {registered['instance_token']}"}
    taken = await world.http.post("/api/agents/heartbeat", headers=headers, json={"instance_id": primary.id})
    assert taken.json() == {"next_in_s": 200.0}
    with world.services.database.sessions() as session:
        agent = session.get_one(Agent, (world.tenant.client_id, primary.id))
        assert (agent.due_at - agent.seen_at).total_seconds() == 600


async def test_prices_are_kept_and_shown_beside_their_pool(
    world: World, primary: Instance, aws: rsa.RSAPrivateKey
) -> None:
    headers = await bearer(world, primary, aws)
    now = datetime.now(UTC)
    price = {"zone": "us-east-1f", "instance_type": "m5.large", "usd_per_hour": 0.035, "at": now.isoformat()}

    kept = await world.http.post("/api/agents/prices", headers=headers, json={"prices": [price]})
    assert kept.json() == {"recorded": 1, "set_aside": 0}

    for wrong in (
        {"usd_per_hour": 0},
        {"usd_per_hour": "NaN"},
        {"zone": "eu-west-1a"},
        {"at": (now + timedelta(days=1)).isoformat()},
        {"at": "2026-01-01T00:00:00"},
    ):
        answer = await world.http.post("/api/agents/prices", headers=headers, json={"prices": [price | wrong]})
        assert answer.status_code == 422, wrong
    pools = (await world.call("GET", "/api/pools?region=us-east-1&limit=500")).json()["items"]
    assert ("us-east-1f/m5.large/spot", 0.035) in {(pool["id"], pool["usd_per_hour"]) for pool in pools}
