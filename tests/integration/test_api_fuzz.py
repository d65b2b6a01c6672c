"""The API's own document, fuzzed: no 500, nothing of another client's, no token that does more than its kind.

Schemathesis makes requests from the document, valid ones and others; what they name is sometimes another
client's, or the caller's own. The same requests are made each time: the seed is fixed.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies
from schemathesis import Case

from api.app import create_app
from api.services import connect
from lab.stack.ports import Leases, accepts
from proof.harness.waiting import until
from tests.api_world import ADMIN, FakeWorkflowClient, World, new_tenant, settings_for
from tests.integration.test_api_auth import instance_token

pytestmark = pytest.mark.timeout(240)
pytest_plugins = ["tests.api_fixtures"]

SEED, EXAMPLES = 20260101, 8
FEW = 2
# A client may look at itself, change what it allows the autopilot, and see to its own tokens.
ADMINS_OWN = ("POST /api/clients", "GET /api/clients", "DELETE /api/clients/{client_id}", "POST /api/decisions/rounds")
INSTANCES_OWN = ("/api/agents/heartbeat", "/api/agents/notice", "/api/agents/prices")
ALL_ANSWER = ("/health/live", "/health/ready")
DENIED = (401, 403)
# What a request is refused for before it is asked whose it is, or that shows nothing of anybody's.
MALFORMED = (404, 405, 413, 415, 422)


@dataclass(frozen=True)
class Fuzz:
    world: World
    url: str
    theirs: dict[str, str]  # what the other client has, by the name of the path's parameter
    ours: dict[str, str]

    def send(self, case: Case[Any], token: str) -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        kwargs = case.as_transport_kwargs(base_url=self.url)
        kwargs["headers"] = {
            **{k: v for k, v in (kwargs.get("headers") or {}).items() if k != "Authorization"},
            **headers,
        }
        answer = requests.request(**kwargs, stream=True, timeout=60)
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            answer.close()  # it would go on
        else:
            assert answer.content is not None
        return answer

    def secrets(self) -> list[str]:
        return [self.world.other.client_id, *self.theirs.values()]


def _owned(world: World, theirs: bool) -> dict[str, str]:
    tenant = world.other if theirs else world.tenant
    server = world.server(tenant)
    operation = world.operation(server)
    instance = world.instance(server, "replica")
    named = {"server_id": server.id, "operation_id": operation.id, "instance_id": instance.id}
    return {**named, "client_id": tenant.client_id}


@pytest.fixture(scope="module")
def fuzz(api_schema: str, leases: Leases) -> Iterator[Fuzz]:
    """A server of its own, over a real socket: nothing is shared with the tests' event loop."""
    made = connect(settings_for(api_schema))
    services = replace(made, temporal=FakeWorkflowClient())
    port = leases.port()
    config = uvicorn.Config(
        create_app(services), host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until("the API answers", 60.0, lambda: True if accepts(port) else None)
    none: Any = None
    world = World(services, FakeWorkflowClient(), none, new_tenant(services), new_tenant(services))
    patch = pytest.MonkeyPatch()
    patch.setattr("api.requests.operations.RECORD_WAIT_S", 0)
    patch.setattr("api.requests.adoption.RECORD_WAIT_S", 0)
    try:
        yield Fuzz(world, f"http://127.0.0.1:{port}", _owned(world, True), _owned(world, False))
    finally:
        patch.undo()
        server.should_exit = True
        thread.join(timeout=60)


def _document() -> dict[str, Any]:
    services = connect(settings_for("mysql+pymysql://nobody@127.0.0.1:1/nothing"))
    document: dict[str, Any] = create_app(services).openapi()
    return document


SCHEMA = schemathesis.openapi.from_dict(json.loads(json.dumps(_document())))
OPERATIONS = {one.ok().label: one.ok() for one in SCHEMA.get_all_operations()}  # type: ignore[union-attr]


def _each(examples: int, check: Any, label: str) -> None:
    """The check on that many requests to the operation."""
    drawn = seed(SEED)(given(case=OPERATIONS[label].as_strategy(), whose=strategies.sampled_from("nto"))(check))
    settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )(drawn)()


def _aimed(fuzz: Fuzz, case: Case[Any], whose: str) -> Case[Any]:
    """At nothing that is there, at what is theirs, or at what is our own."""
    known = {"n": {}, "t": fuzz.theirs, "o": fuzz.ours}[whose]
    for name in case.path_parameters or {}:
        if name in known:
            case.path_parameters[name] = known[name]
    return case


@pytest.mark.parametrize("label", sorted(OPERATIONS))
def test_a_client_is_answered_whatever_it_asks_and_sees_nothing_of_anothers(fuzz: Fuzz, label: str) -> None:
    def check(case: Case[Any], whose: str) -> None:
        answer = fuzz.send(_aimed(fuzz, case, whose), fuzz.world.tenant.token)
        words = f"{label} {case.formatted_path}: {answer.status_code}"
        assert answer.status_code < 500, f"{words} {answer.text[:300]}"
        if whose == "t" and any(value in case.formatted_path for value in fuzz.theirs.values()):
            assert answer.status_code >= 400, f"{words}: it is another client's"
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json", words
        if not answer.headers["content-type"].startswith("text/event-stream"):
            sent = f"{case.formatted_path} {case.query} {case.body!r}"
            told = [one for one in fuzz.secrets() if one in answer.text and one not in sent]
            assert not told, f"{words} tells {told}"

    _each(EXAMPLES, check, label)


@pytest.mark.parametrize("kind", ["nobody", "wrong", "instance", "client", "admin"])
def test_no_token_does_more_than_its_kind(fuzz: Fuzz, kind: str) -> None:
    token = {
        "nobody": "",
        "wrong": fuzz.world.tenant.token[:-4] + "AAAA",
        "instance": instance_token(fuzz.world, fuzz.ours["instance_id"], fuzz.ours["server_id"]),
        "client": fuzz.world.tenant.token,
        "admin": ADMIN,
    }[kind]

    for label, operation in sorted(OPERATIONS.items()):
        if not _is_for(kind, label, operation.path):
            _each(FEW, _refuses(fuzz, kind, token, label), label)


def _refuses(fuzz: Fuzz, kind: str, token: str, label: str) -> Any:
    def check(case: Case[Any], whose: str) -> None:
        answer = fuzz.send(_aimed(fuzz, case, whose), token)
        assert answer.status_code < 500, f"{label}: {answer.status_code} {answer.text[:300]}"
        refused = answer.status_code in (*DENIED, *MALFORMED)
        assert refused, f"{kind} may {label}: {answer.status_code} {answer.text[:200]}"

    return check


def _is_for(kind: str, label: str, path: str) -> bool:
    if path in ALL_ANSWER:
        return True
    if kind == "instance":
        return path in INSTANCES_OWN
    if kind == "client":
        return label not in ADMINS_OWN and path not in INSTANCES_OWN
    return kind == "admin" and not path.startswith("/api/agents")
