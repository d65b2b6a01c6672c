"""Requests for an operation: every route that asks a server's workflow for one goes through `submit`.

An ordinary request needs the database, to know whose server it is and whether the request ID was used before. A
rescue does not wait for the database (invariant 6). It uses what this process knows of the token and the server;
the workflow itself compares request IDs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import BaseModel
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.access.callers import ClientCaller, RescuingCaller
from api.access.tokens import Caller
from api.database import within_rescue_time
from api.http.problems import KEY_REUSED, NOT_FOUND, Problem
from api.requests.idempotency import IdempotencyKey, digest_of, request_id_of
from api.services import Services, ServicesDep
from api.views.operations import AcceptedView, links
from db.clients.audit import write_audit
from db.engine.session import is_unreachable
from db.fleet.operations import get_operation, operation_by_request
from db.fleet.servers import get_server
from db.tables import Operation
from domain.adoption import LaunchSpec
from domain.operations import AcceptedRequest, OperationKind, OperationRequest, OperationStatus, Priority
from domain.servers import ServerRef

log = logging.getLogger(__name__)

RECORD_WAIT_S = 1.0  # records follow the work; the links of the answer should lead somewhere
RECORD_POLL_S = 0.025


@dataclass(frozen=True)
class IncomingRequest:
    """A request as it came in: from whom, with which body, under which ID."""

    services: Services
    caller: Caller
    request: Request
    response: Response
    key: str | None
    body: BaseModel | None = None
    request_id: str = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "request_id", request_id_of(self.key))
        object.__setattr__(self, "digest", digest_of(self.request, self.body))

    def operation_request(
        self, kind: OperationKind, *, pool: str = "", wait: bool = True, launch: LaunchSpec | None = None
    ) -> OperationRequest:
        return OperationRequest(
            request_id=self.request_id,
            kind=kind,
            priority=Priority.EMERGENCY if kind is OperationKind.FAILOVER else Priority.PERSON,
            pool=pool,
            wait=wait,
            requested_by=self.caller.token_id,
            body_digest=self.digest,
            launch=launch,
        )

    async def write_audit(self, server: ServerRef, action: str, outcome: str, details: dict[str, Any]) -> None:
        await self.services.database.write(
            write_audit,
            datetime.now(UTC),
            action,
            outcome,
            client_id=server.client_id,
            token_id=self.caller.token_id,
            subject=server.server_id,
            request_id=self.request_id,
            remote_address=self.request.client.host if self.request.client else "",
            details=details,
        )


@dataclass(frozen=True)
class RequestContext:
    """What came with a request besides its body."""

    services: Services
    caller: Caller
    request: Request
    response: Response
    key: str | None
    rescue: bool = False

    def with_body(self, body: BaseModel | None = None) -> IncomingRequest:
        return IncomingRequest(self.services, self.caller, self.request, self.response, self.key, body)

    async def server(self, server_id: str) -> ServerRef:
        return await find_server(self.services, self.caller, server_id, rescue=self.rescue)


def _by_client(
    services: ServicesDep, caller: ClientCaller, request: Request, response: Response, key: IdempotencyKey = None
) -> RequestContext:
    return RequestContext(services, caller, request, response, key)


def _by_rescuer(
    services: ServicesDep, caller: RescuingCaller, request: Request, response: Response, key: IdempotencyKey = None
) -> RequestContext:
    return RequestContext(services, caller, request, response, key, rescue=True)


ClientRequestContext = Annotated[RequestContext, Depends(_by_client)]
RescueRequestContext = Annotated[RequestContext, Depends(_by_rescuer)]


async def find_server(services: Services, caller: Caller, server_id: str, *, rescue: bool = False) -> ServerRef:
    """The caller's server, or 404. A rescue uses the cache when the database is down or slow."""
    known = services.server_owners.find(server_id) if rescue else None
    if known and caller.remembered:
        return _of_caller(known, caller)
    try:
        async with within_rescue_time(known is not None):
            row = await services.database.read(get_server, caller.client_id, server_id)
    except (DBAPIError, PoolTimeout) as error:
        if known is None or not _down(error):
            raise
        return _of_caller(known, caller)
    if row is None:
        raise no_server(server_id)
    found = ServerRef(row.server.id, row.server.client_id, row.server.name, row.server.region)
    services.server_owners.learn(found)
    return found


def _of_caller(known: ServerRef, caller: Caller) -> ServerRef:
    if known.client_id != caller.client_id:
        raise no_server(known.server_id)
    return known


def no_server(server_id: str) -> Problem:
    return Problem(NOT_FOUND, f"there is no server {server_id}")


async def repeated_answer(incoming: IncomingRequest) -> AcceptedView | None:
    """The answer to a request ID that was used before; None when it is new. 409 when it meant something else."""
    if incoming.key is None:
        return None
    used = await incoming.services.database.read(operation_by_request, incoming.caller.client_id, incoming.request_id)
    if used is None:
        return None
    if used.body_digest != incoming.digest:
        raise Problem(KEY_REUSED, f"it asked for operation {used.id}; use a new key for a new request")
    accepted = AcceptedRequest(used.id, OperationStatus(used.status), repeated=True)
    return answer(incoming, used.server_id, accepted)


async def submit(incoming: IncomingRequest, server: ServerRef, wanted: OperationRequest) -> AcceptedView:
    """Ask the server's workflow; 202 with the operation. A refusal of the workflow is raised as WorkflowCallError."""
    if (repeated := await _replay_of(incoming, _is_rescue(wanted))) is not None:
        return repeated
    accepted = await incoming.services.temporal.request(server.server_id, wanted)
    return await answer_accepted(incoming, server, wanted, accepted)


async def answer_accepted(
    incoming: IncomingRequest, server: ServerRef, wanted: OperationRequest, accepted: AcceptedRequest
) -> AcceptedView:
    """After the workflow has accepted: write the audit, and wait a moment for the operation's record."""
    await _write_audit(incoming, server, wanted, accepted)
    if not incoming.caller.remembered:
        await _wait_for_record(incoming.services, server.client_id, wanted, accepted.operation_id)
    return answer(incoming, server.server_id, accepted)


def answer(incoming: IncomingRequest, server_id: str, accepted: AcceptedRequest) -> AcceptedView:
    incoming.response.status_code = 202
    found = links(accepted.operation_id, server_id)
    incoming.response.headers["Location"] = found.self
    if accepted.repeated:
        incoming.response.headers["Idempotent-Replay"] = "true"
    return AcceptedView(operation_id=accepted.operation_id, server_id=server_id, status=accepted.status, links=found)


async def _replay_of(incoming: IncomingRequest, rescue: bool) -> AcceptedView | None:
    if rescue and incoming.caller.remembered:
        return None
    try:
        async with within_rescue_time(rescue):
            return await repeated_answer(incoming)
    except (DBAPIError, PoolTimeout) as error:
        if rescue and _down(error):
            return None  # the workflow compares request IDs itself
        raise


async def _write_audit(
    incoming: IncomingRequest, server: ServerRef, wanted: OperationRequest, accepted: AcceptedRequest
) -> None:
    """Write the audit after the fact: it does not hold up a rescue, and its failure undoes nothing."""
    try:
        async with within_rescue_time(_is_rescue(wanted)):
            outcome = "repeated" if accepted.repeated else "accepted"
            details = {"operation_id": accepted.operation_id}
            await incoming.write_audit(server, f"server.{wanted.kind.value}", outcome, details)
    except (DBAPIError, PoolTimeout):
        log.exception(
            "the audit may miss an accepted request",
            extra={"server": server.server_id, "operation": accepted.operation_id},
        )


async def _wait_for_record(
    services: Services, client_id: str, wanted: OperationRequest, operation_id: str
) -> Operation | None:
    deadline = time.monotonic() + RECORD_WAIT_S
    while time.monotonic() < deadline:
        try:
            async with within_rescue_time(_is_rescue(wanted)):
                found = await services.database.read(get_operation, client_id, operation_id)
        except (DBAPIError, PoolTimeout):
            return None  # it is accepted all the same; its record is written when the database is back
        if found is not None:
            return found.operation
        await asyncio.sleep(RECORD_POLL_S)
    return None


def _is_rescue(wanted: OperationRequest) -> bool:
    return wanted.kind is OperationKind.FAILOVER


def _down(error: Exception) -> bool:
    return isinstance(error, PoolTimeout) or is_unreachable(error)
