"""Instances: list, launch a server with its first, terminate."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query

from api.access.callers import GuardedRoute, ReadingCaller
from api.http.problems import CONFIRM, CONFLICT, KEY_REUSED, NAME_TAKEN, NOT_FOUND, Problem, documented
from api.requests.adoption import launch as launch_server
from api.requests.operations import ClientRequestContext, RequestContext, repeated_answer, submit
from api.services import ServicesDep
from api.views.base import Cursor, Limit
from api.views.instances import InstancePage, InstanceView, TerminateRequest
from api.views.operations import AcceptedView
from api.views.pools import PoolName
from api.views.servers import InstanceRequest
from db.fleet.instances import get_instance, list_instances
from db.tables import Instance
from domain.instance_states import InstanceState
from domain.operations import OperationKind
from domain.servers import ServerRef

router = APIRouter(prefix="/instances", tags=["instances"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    server_id: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[list[InstanceState] | None, Query()] = None,
    role: Annotated[Literal["primary", "replica"] | None, Query()] = None,
    pool: PoolName | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> InstancePage:
    """Newest first, ended ones too unless `state` says otherwise. An admin sees every client's."""
    page = await services.database.read(
        list_instances,
        caller.scope,
        server_id=server_id,
        states=state or (),
        role=role,
        pool=pool,
        cursor=cursor,
        limit=limit,
    )
    return InstancePage.model_validate(page)


@router.get("/{instance_id}", responses=documented(NOT_FOUND))
async def show(instance_id: str, caller: ReadingCaller, services: ServicesDep) -> InstanceView:
    return InstanceView.model_validate(await _find(services, caller.scope, instance_id))


@router.post("", status_code=202, responses=documented(NAME_TAKEN, KEY_REUSED))
async def launch(body: InstanceRequest, context: ClientRequestContext) -> AcceptedView:
    """Launch a new server: the same as POST /api/servers with `launch`."""
    return await launch_server(context.with_body(body), body, body.launch)


@router.post("/{instance_id}/terminate", status_code=202, responses=documented(NOT_FOUND, CONFIRM, CONFLICT))
async def terminate(
    instance_id: str,
    context: ClientRequestContext,
    body: TerminateRequest | None = None,
) -> AcceptedView:
    """A replica is dropped. With its primary the server ends, so its name has to be given in `confirm`."""
    body = body or TerminateRequest()
    incoming = context.with_body(body)
    if (repeated := await repeated_answer(incoming)) is not None:
        return repeated
    instance, server = await _with_server(context, instance_id)
    kind = _what_it_means(instance, server, body.confirm)
    return await submit(incoming, server, incoming.operation_request(kind, wait=body.wait))


def _what_it_means(instance: Instance, server: ServerRef, confirm: str) -> OperationKind:
    if instance.role == "replica":
        return OperationKind.REPLICA_DROP
    if instance.role != "primary":
        raise Problem(CONFLICT, f"{instance.id} is {instance.state} and plays no server; there is nothing to end")
    if confirm != server.name:
        raise Problem(
            CONFIRM,
            f"{instance.id} is the primary of {server.name}, which ends with it: "
            'send {"confirm": "<name of the server>"}',
        )
    return OperationKind.TERMINATE


async def _with_server(context: RequestContext, instance_id: str) -> tuple[Instance, ServerRef]:
    instance = await _find(context.services, context.caller.client_id, instance_id)
    return instance, await context.server(instance.server_id)


async def _find(services: ServicesDep, client_id: str | None, instance_id: str) -> Instance:
    instance = await services.database.read(get_instance, client_id, instance_id)
    if instance is None:
        raise Problem(NOT_FOUND, f"there is no instance {instance_id}")
    return instance
