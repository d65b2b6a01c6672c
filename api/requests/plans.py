"""Plans: for people to read, and to check a named pool before a switch begins."""

from __future__ import annotations

import logging

from pydantic import TypeAdapter
from sqlalchemy.orm import Session

from api.access.tokens import Caller
from api.http.problems import CONFLICT, ENDED, POOL_REFUSED, REFUSED, SAME_POOL, FindingDocument, Problem
from api.requests.operations import IncomingRequest, no_server, repeated_answer
from api.requests.policies import wish_of
from api.services import Services
from api.temporal.client import NoWorker, WorkflowCallError, WorkflowRefused
from api.temporal.workflow_problems import problem_of
from db.autopilot.fleet import home_type
from db.fleet.servers import get_server
from db.tables import Client, Server
from domain.adoption import MoveTerms, Plan, PlanInput
from domain.autopilot.policy import resolve_policy
from domain.errors import Failure
from domain.operations import ServerView
from domain.pools import Pool
from domain.servers import Placement, ServerPolicy, ServerRef

log = logging.getLogger(__name__)

_POLICY = TypeAdapter(ServerPolicy)


def policy_of(server: Server) -> ServerPolicy:
    return _POLICY.validate_python(server.policy)


def terms_of(session: Session, server: Server) -> MoveTerms:
    """The terms that price a move: the server's and the client's preferences, and the type the server came with."""
    wish = wish_of(session.get(Client, server.client_id))
    return MoveTerms(home_type(session, server.id), resolve_policy(policy_of(server).autopilot, wish))


async def make_plan(services: Services, caller: Caller, server_id: str, pool: str) -> Plan:
    server = await _server(services, caller, server_id)
    _in_region(pool, server.region)
    view = await services.temporal.server_state(server_id)
    terms = await services.database.read(terms_of, server)
    try:
        return await services.temporal.plan(_input(server, view, pool, terms))
    except WorkflowCallError as error:
        raise problem_of(error, POOL_REFUSED) from error


async def check_pool(incoming: IncomingRequest, server_id: str, pool: str) -> None:
    """Refuse a pool that the plan refuses. Any other failure is left to the switch itself."""
    if await repeated_answer(incoming) is not None:
        return
    services = incoming.services
    server = await _server(services, incoming.caller, server_id)
    _in_region(pool, server.region)
    view = await services.temporal.server_state(server_id)
    if _not_now(view):
        return
    if view.shape.primary is not None and view.shape.primary.pool == pool:
        raise Problem(SAME_POOL, f"server {server.name} runs in {pool}")
    await _refuse_what_the_plan_refuses(services, _input(server, view, pool))


async def _refuse_what_the_plan_refuses(services: Services, work: PlanInput) -> None:
    try:
        plan = await services.temporal.plan(work)
    except WorkflowRefused as error:
        if error.type in (Failure.REFUSED, Failure.PERMISSION_MISSING):
            raise problem_of(error, POOL_REFUSED) from error
        log.warning("pool %s could not be checked: %s", work.pool, error)
        return
    except NoWorker as error:
        log.warning("pool %s was not checked in time: %s", work.pool, error)
        return
    blocking = [FindingDocument.model_validate(found) for found in plan.findings if found.blocking]
    if blocking:
        raise Problem(REFUSED, "; ".join(found.what for found in blocking), findings=blocking)


def _not_now(view: ServerView) -> bool:
    """Whether the pool cannot be checked now: while an operation runs, nobody knows where the server will be."""
    return view.ended or view.running is not None or view.shape.primary is None


def _in_region(pool: str, region: str) -> None:
    if pool and not Pool.parse(pool).zone.startswith(region):
        raise Problem(POOL_REFUSED, f"{pool} is not in {region}, where the server is")


def _input(server: Server, view: ServerView, pool: str, terms: MoveTerms | None = None) -> PlanInput:
    return PlanInput(
        server=ServerRef(server.id, server.client_id, server.name, server.region),
        policy=policy_of(server),
        primary=_primary(view, server.name),
        pool=pool,
        cool_downs=view.shape.cool_downs,
        terms=terms,
    )


def _primary(view: ServerView, name: str) -> Placement:
    if view.ended:
        raise Problem(ENDED, f"server {name} has ended")
    if view.shape.primary is None:
        raise Problem(CONFLICT, f"server {name} has no primary yet")
    return view.shape.primary


async def _server(services: Services, caller: Caller, server_id: str) -> Server:
    row = await services.database.read(get_server, caller.client_id, server_id)
    if row is None:
        raise no_server(server_id)
    return row.server
