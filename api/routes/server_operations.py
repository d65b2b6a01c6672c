"""What may be asked of a server: plan, switch, failover, replica, promote, release, resume."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from api.access.callers import ClientCaller, GuardedRoute
from api.http.problems import (
    BEING_RESUMED,
    BUSY,
    ENDED,
    HAS_REPLICA,
    KEY_REUSED,
    NO_REPLICA,
    NOT_FOUND,
    POOL_REFUSED,
    RESUME_REFUSED,
    SAME_POOL,
    TEMPORAL_UNREACHABLE,
    documented,
)
from api.requests.operations import ClientRequestContext, RescueRequestContext, submit
from api.requests.plans import check_pool, make_plan
from api.requests.policies import keep_old_seconds
from api.requests.resumption import resume as resume_server
from api.services import ServicesDep
from api.views.operations import AcceptedView, OperationAsked, ReplicaRequest, SwitchRequest
from api.views.plans import PlanRequest, PlanView
from api.views.servers import ResumeRequest, ResumeView
from db.autopilot.decisions import pool_forecasts
from domain.operations import OperationKind

router = APIRouter(prefix="/servers/{server_id}", tags=["operations"], route_class=GuardedRoute)

Wait = Annotated[bool, Query(description="False: refuse with `busy` rather than wait")]
_ALWAYS = (NOT_FOUND, BUSY, ENDED, KEY_REUSED, TEMPORAL_UNREACHABLE)


@router.post("/plan", responses=documented(NOT_FOUND, ENDED, POOL_REFUSED))
async def plan(
    server_id: str, caller: ClientCaller, services: ServicesDep, body: PlanRequest | None = None
) -> PlanView:
    """A dry run: steps, calls, expected outage, price, point of no return. Changes nothing."""
    pool = (body.pool if body else None) or ""
    planned = await make_plan(services, caller, server_id, pool)
    return PlanView.of(planned, await services.database.read(pool_forecasts, caller.client_id, server_id))


@router.post("/switch", status_code=202, responses=documented(*_ALWAYS, SAME_POOL, POOL_REFUSED))
async def switch(server_id: str, context: ClientRequestContext, body: SwitchRequest | None = None) -> AcceptedView:
    """To the pool named, or to the best. A pool that cannot be used is refused before anything starts."""
    body = body or SwitchRequest()
    incoming, server = context.with_body(body), await context.server(server_id)
    if body.pool:
        await check_pool(incoming, server_id, body.pool)
    wanted = incoming.operation_request(OperationKind.SWITCH, pool=body.pool or "", wait=body.wait)
    keep_s = await context.services.database.read(keep_old_seconds, server.client_id, server.server_id)
    return await submit(incoming, server, replace(wanted, keep_old_s=keep_s))


@router.post("/failover", status_code=202, responses=documented(*_ALWAYS))
async def failover(server_id: str, context: RescueRequestContext, body: OperationAsked | None = None) -> AcceptedView:
    """Rescue now, ahead of everything else; also while the database is down."""
    body = body or OperationAsked()
    incoming, server = context.with_body(body), await context.server(server_id)
    return await submit(incoming, server, incoming.operation_request(OperationKind.FAILOVER, wait=body.wait))


@router.post("/replica", status_code=202, responses=documented(*_ALWAYS, HAS_REPLICA))
async def create_replica(
    server_id: str, context: ClientRequestContext, body: ReplicaRequest | None = None
) -> AcceptedView:
    """Keep a warm replica, in the pool named or the best other one."""
    body = body or ReplicaRequest()
    incoming, server = context.with_body(body), await context.server(server_id)
    wanted = incoming.operation_request(OperationKind.REPLICA_CREATE, pool=body.pool or "", wait=body.wait)
    return await submit(incoming, server, wanted)


@router.delete("/replica", status_code=202, responses=documented(*_ALWAYS, NO_REPLICA))
async def drop_replica(server_id: str, context: ClientRequestContext, wait: Wait = True) -> AcceptedView:
    incoming, server = context.with_body(), await context.server(server_id)
    return await submit(incoming, server, incoming.operation_request(OperationKind.REPLICA_DROP, wait=wait))


async def _promote(server_id: str, context: ClientRequestContext, body: OperationAsked | None = None) -> AcceptedView:
    """Make the replica the primary."""
    body = body or OperationAsked()
    incoming, server = context.with_body(body), await context.server(server_id)
    return await submit(incoming, server, incoming.operation_request(OperationKind.PROMOTE, wait=body.wait))


# Two paths of one operation; the OpenAPI document has the first.
for _path in ("/promote", "/replica/promote"):
    router.add_api_route(
        _path,
        _promote,
        methods=["POST"],
        status_code=202,
        responses=documented(*_ALWAYS, NO_REPLICA),
        name="promote" if _path == "/promote" else "promote_replica",
        include_in_schema=_path == "/promote",
    )


@router.delete("", status_code=202, responses=documented(*_ALWAYS))
async def release(server_id: str, context: ClientRequestContext, wait: Wait = True) -> AcceptedView:
    """Let go: the server is ours no longer, its instance keeps running."""
    incoming, server = context.with_body(), await context.server(server_id)
    return await submit(incoming, server, incoming.operation_request(OperationKind.RELEASE, wait=wait))


@router.post(
    "/resume", responses=documented(NOT_FOUND, KEY_REUSED, RESUME_REFUSED, BEING_RESUMED, TEMPORAL_UNREACHABLE)
)
async def resume(server_id: str, context: ClientRequestContext, body: ResumeRequest | None = None) -> ResumeView:
    """A new workflow for an active server whose own Temporal has lost; refused with what is in the way."""
    body = body or ResumeRequest()
    return await resume_server(context.with_body(body), await context.server(server_id), body)
