"""Servers: adopt or launch, list, look, change policy."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.access.callers import ClientCaller, GuardedRoute, ReadingCaller
from api.http.problems import (
    ADOPTION_REFUSED,
    ALREADY_ADOPTED,
    BEING_ADOPTED,
    CONFLICT,
    CONTRADICTION,
    ENDED,
    INSTANCE_NOT_FOUND,
    KEY_REUSED,
    NAME_TAKEN,
    NOT_FOUND,
    PERMISSION_MISSING,
    Problem,
    documented,
)
from api.requests.adoption import adopt, launch
from api.requests.operations import ClientRequestContext, no_server
from api.requests.plans import policy_of
from api.requests.policies import require_sound_policy
from api.screens.timeline import read_timeline as read_timeline
from api.services import ServicesDep
from api.views.base import Cursor, Limit
from api.views.decisions import CandidatesView
from api.views.instances import InstanceView
from api.views.operations import AcceptedView, OperationSummary
from api.views.servers import (
    AdoptionView,
    ServerChange,
    ServerPage,
    ServerRequest,
    ServerSummary,
    ServerView,
)
from api.views.timeline import TimelineView
from db.fleet.operations import list_operations
from db.fleet.servers import ServerRow, get_server, list_servers, servers_named
from domain.autopilot.contract import PreviewInput

router = APIRouter(prefix="/servers", tags=["servers"], route_class=GuardedRoute)

State = Annotated[Literal["active", "ended", "any"], Query()]
_LAST_OPERATIONS = 10


@router.post(
    "",
    status_code=201,
    responses={
        202: {"model": AcceptedView, "description": "Launching"},
        200: {"model": AdoptionView, "description": "Dry run"},
        **documented(
            INSTANCE_NOT_FOUND,
            ALREADY_ADOPTED,
            BEING_ADOPTED,
            NAME_TAKEN,
            KEY_REUSED,
            ADOPTION_REFUSED,
            PERMISSION_MISSING,
        ),
    },
)
async def create(body: ServerRequest, context: ClientRequestContext) -> AdoptionView | AcceptedView:
    """Adopt a running instance (201), look what adopting it would mean (200), or launch a new one (202)."""
    incoming = context.with_body(body)
    if body.launch is not None:
        return await launch(incoming, body, body.launch)
    adopted = await adopt(incoming, body)
    if adopted.server_id:
        context.response.headers["Location"] = f"/api/servers/{adopted.server_id}"
    else:
        context.response.status_code = 200
    return adopted


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    state: State = "active",
    name: Annotated[str | None, Query(max_length=191, description="The active server of that name")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> ServerPage:
    """Newest first. An admin sees every client's."""
    if name is not None:
        found = await services.database.read(servers_named, caller.scope, name)
        return ServerPage(items=[summary(row) for row in found])
    wanted = None if state == "any" else state
    page = await services.database.read(list_servers, caller.scope, state=wanted, cursor=cursor, limit=limit)
    return ServerPage(items=[summary(row) for row in page.items], next_cursor=page.next_cursor)


@router.get("/{server_id}", responses=documented(NOT_FOUND))
async def show(server_id: str, caller: ReadingCaller, services: ServicesDep) -> ServerView:
    return await _view(services, caller.scope, server_id)


@router.get("/{server_id}/timeline", responses=documented(NOT_FOUND))
async def timeline(server_id: str, caller: ReadingCaller, services: ServicesDep) -> TimelineView:
    """Its instances over time with their states and roles, notices, outages, operations."""
    found = await services.database.read(read_timeline, caller.scope, server_id, datetime.now(UTC))
    if found is None:
        raise no_server(server_id)
    return found


@router.get("/{server_id}/candidates", response_model_exclude_unset=True, responses=documented(NOT_FOUND, CONFLICT))
async def candidates(
    server_id: str, caller: ReadingCaller, services: ServicesDep, limit: Annotated[int, Query(ge=1, le=100)] = 20
) -> CandidatesView:
    """What the autopilot sees for this server now, whether or not it may do anything. Nothing is decided by it."""
    if await services.database.read(get_server, caller.scope, server_id) is None:
        raise no_server(server_id)
    looked = await services.temporal.candidates(PreviewInput(server_id, limit))
    if looked.problem:
        raise Problem(CONFLICT, looked.problem)
    return CandidatesView(
        server_id=server_id,
        at=datetime.now(UTC),
        **{name: getattr(looked, name) for name in ("kind", "reason", "held_by", "to_pool", "figures")},
    )


@router.patch("/{server_id}", responses=documented(NOT_FOUND, ENDED, CONTRADICTION))
async def change(server_id: str, body: ServerChange, caller: ClientCaller, services: ServicesDep) -> ServerView:
    """Change the policy; fields that are absent stay. It holds for the next operation."""
    view = await _view(services, caller.client_id, server_id)
    row = await services.database.read(get_server, caller.client_id, server_id)
    if row is None:
        raise no_server(server_id)
    policy = body.policy.over(policy_of(row.server))
    await services.database.read(require_sound_policy, row.server.client_id, policy)
    await services.temporal.change_policy(server_id, policy)
    # The record follows; the answer shows what was accepted.
    return view.model_copy(update={"policy": policy, "handoff": policy.handoff.value})


async def _view(services: ServicesDep, client_id: str | None, server_id: str) -> ServerView:
    row = await services.database.read(get_server, client_id, server_id)
    if row is None:
        raise no_server(server_id)
    last = await services.database.read(list_operations, client_id, server_id=server_id, limit=_LAST_OPERATIONS)
    return ServerView(
        **summary(row).model_dump(),
        account_id=row.server.account_id,
        policy=policy_of(row.server),
        moves=row.server.moves,
        ended_how=row.server.ended_how,
        version=row.server.version,
        operations=[OperationSummary.model_validate(operation) for operation in last.items],
    )


def summary(row: ServerRow) -> ServerSummary:
    """The server with its instances of now."""
    view = ServerSummary.model_validate(row.server)
    return view.model_copy(
        update={
            "primary": InstanceView.model_validate(row.primary) if row.primary else None,
            "replica": InstanceView.model_validate(row.replica) if row.replica else None,
            "running": OperationSummary.model_validate(row.running) if row.running else None,
        }
    )
