"""The API's test world: a real database, a Temporal of fifteen lines, and two clients."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr
from sqlalchemy import create_engine
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api.access.tokens import TokenKind, issue_token
from api.database import Database
from api.services import Services
from api.settings import Settings
from api.temporal.client import WorkflowCallError, WorkflowClient
from db.clients.clients import create_client
from db.clients.tokens import create_token
from db.tables import Instance, Operation, Server
from domain.adoption import AdoptInput, AdoptResult, Plan, PlanInput
from domain.autopilot.contract import PreviewInput, PreviewResult
from domain.host import Notice
from domain.names import operation_id
from domain.operations import AcceptedRequest, OperationRequest, ServerInput, ServerView
from domain.reconciliation import contract as reconciliation
from domain.resumption import ResumeInput, ResumeResult
from domain.servers import Handoff, Placement, ServerPolicy, ServerShape

ADMIN = "bootstrap-admin-token-for-tests"
POOL = "us-east-1a/m5.large/on-demand"
SPOT = "us-east-1b/m5.large/spot"
KEY = "k" * 32


class FakeWorkflowClient(WorkflowClient):
    """Remembers what was asked; answers, or raises what a test puts in `error`."""

    def __init__(self) -> None:
        super().__init__("temporal.test:7233", "default")
        self.asked: list[tuple[str, Any]] = []
        self.error: WorkflowCallError | None = None
        self.view = ServerView(ServerShape(primary=Placement("i-0", POOL)))
        self.adoption: AdoptResult | None = None
        self.resumed = ResumeResult(True, placement=Placement("i-0", POOL))
        self.planned = Plan(Handoff.STATELESS, POOL)
        self.looked = PreviewResult()
        self.accepted: dict[str, AcceptedRequest] = {}

    def _take(self, call: str, about: Any) -> None:
        self.asked.append((call, about))
        if self.error is not None:
            raise self.error

    async def request(self, server_id: str, request: OperationRequest) -> AcceptedRequest:
        self._take("request", request)
        return AcceptedRequest(operation_id(server_id, request.request_id))

    async def launch(self, server: ServerInput, request: OperationRequest) -> AcceptedRequest:
        self._take("launch", (server, request))
        return AcceptedRequest(operation_id(server.server.server_id, request.request_id))

    async def change_policy(self, server_id: str, policy: ServerPolicy) -> None:
        self._take("policy", policy)

    async def notice(self, server_id: str, notice: Notice) -> None:
        self._take("notice", (server_id, notice))

    async def cancel(self, server_id: str, operation_id: str) -> None:
        self._take("cancel", operation_id)

    async def server_state(self, server_id: str) -> ServerView:
        return self.view

    async def adopt(self, input: AdoptInput) -> AdoptResult:
        self._take("adopt", input)
        return self.adoption or AdoptResult(
            input.server.server_id, Handoff.STATELESS, Placement(input.instance_id, POOL)
        )

    async def resume(self, input: ResumeInput) -> ResumeResult:
        self._take("resume", input)
        return self.resumed

    async def plan(self, input: PlanInput) -> Plan:
        self._take("plan", input)
        return self.planned

    async def reconcile(self, input: reconciliation.ReconcileInput) -> reconciliation.ReconcileResult:
        self._take("reconcile", input)
        return reconciliation.ReconcileResult(resources=3)

    async def start_backtest(self, backtest_id: str, client_id: str) -> None:
        self._take("backtest", backtest_id)

    async def cancel_backtest(self, backtest_id: str) -> None:
        self._take("cancel backtest", backtest_id)

    async def candidates(self, input: PreviewInput) -> PreviewResult:
        self._take("candidates", input)
        return self.looked

    async def check(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Tenant:
    """A client with a token."""

    client_id: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}


@dataclass
class World:
    services: Services
    temporal: FakeWorkflowClient
    http: httpx.AsyncClient
    tenant: Tenant
    other: Tenant
    admin: dict[str, str] = field(default_factory=lambda: {"Authorization": f"Bearer {ADMIN}"})

    def write(self, row: Any) -> Any:
        with self.services.database.sessions.begin() as session:
            session.add(row)
        return row

    def server(self, tenant: Tenant | None = None, **values: Any) -> Server:
        """A server of the tenant's with a primary, as its workflow's records would leave it."""
        owner, now, server_id = (tenant or self.tenant).client_id, datetime.now(UTC), unique("srv")
        fixed: dict[str, Any] = {
            "id": server_id,
            "client_id": owner,
            "name": unique("name"),
            "region": "us-east-1",
            "account_id": "1",
            "handoff": "stateless",
            "policy": asdict(ServerPolicy()),
            "moves": [],
            "state": "active",
            "created_at": now,
            "updated_at": now,
        }
        server: Server = self.write(Server(**(fixed | values)))
        self.instance(server)
        return server

    def instance(self, server: Server, role: str | None = "primary", **values: Any) -> Instance:
        now = datetime.now(UTC)
        fixed: dict[str, Any] = {
            "id": f"i-{uuid.uuid4().hex[:17]}",
            "server_id": server.id,
            "client_id": server.client_id,
            "state": f"running_{role}",
            "role": role,
            "pool": POOL,
            "region": server.region,
            "created_at": now,
            "updated_at": now,
        }
        made: Instance = self.write(Instance(**(fixed | values)))
        return made

    def operation(self, server: Server, **values: Any) -> Operation:
        fixed: dict[str, Any] = {
            "id": unique("op"),
            "server_id": server.id,
            "client_id": server.client_id,
            "kind": "switch",
            "status": "running",
            "requested_at": datetime.now(UTC),
        }
        made: Operation = self.write(Operation(**(fixed | values)))
        return made

    async def call(self, method: str, path: str, tenant: Tenant | None = None, **options: Any) -> httpx.Response:
        headers = (tenant or self.tenant).headers | options.pop("headers", {})
        return await self.http.request(method, path, headers=headers, **options)


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def new_tenant(services: Services) -> Tenant:
    client_id, issued, now = unique("cli"), issue_token(TokenKind.CLIENT), datetime.now(UTC)

    def make(session: Session) -> None:
        create_client(session, client_id, client_id, now)
        create_token(session, issued.token_id, issued.digest, now, client_id=client_id)

    with services.database.sessions.begin() as session:
        make(session)
    return Tenant(client_id, issued.text)


def problem_type(answer: httpx.Response) -> str:
    """The slug of a problem, after looking that it is one."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["instance"] == answer.request.url.path
    return str(body["type"]).removeprefix("urn:spot-optimizer:problem:")


def settings_for(url: str, **values: Any) -> Settings:
    return Settings(database_url=SecretStr(url), signing_key=SecretStr(KEY), admin_token=SecretStr(ADMIN), **values)


def unreachable_database() -> Database:
    """A database at a port where nothing listens."""
    return Database(create_engine("mysql+pymysql://nobody@127.0.0.1:1/nothing"))


class _SilentSessions:
    """Sessions of a host that swallows packets: each waits until `over`, and then fails."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __call__(self) -> Any:
        self.over.wait()
        raise PoolTimeout("the database gave no answer")

    begin = __call__


@contextmanager
def silent_database() -> Iterator[Database]:
    """A database that answers nobody and sends nobody away, until this ends."""
    database, sessions = unreachable_database(), _SilentSessions()
    database.sessions = sessions  # type: ignore[assignment]  # only called
    try:
        yield database
    finally:
        sessions.over.set()
