"""New servers: a running instance adopted, or a launch described."""

from __future__ import annotations

import asyncio
import time

from sqlalchemy.orm import Session

from api.http.problems import (
    ADOPTION_REFUSED,
    ALREADY_ADOPTED,
    BEING_ADOPTED,
    KEY_REUSED,
    NAME_TAKEN,
    POOL_REFUSED,
    FindingDocument,
    Problem,
)
from api.requests.idempotency import adopted_server_id, launched_server_id, server_id_prefix
from api.requests.operations import IncomingRequest, answer_accepted, repeated_answer
from api.requests.policies import require_sound_policy
from api.temporal.client import AlreadyRunning, WorkflowCallError
from api.temporal.workflow_problems import problem_of
from api.views.operations import AcceptedView
from api.views.servers import AdoptionView, LaunchRequest, NewServer, PlacementView, ServerRequest
from db.fleet.instances import get_instance
from db.fleet.servers import get_server, server_by_name, server_with_prefix
from db.tables import Instance
from domain.adoption import AdoptInput, AdoptResult
from domain.instance_states import ENDED
from domain.operations import OperationKind, ServerInput
from domain.pools import Pool
from domain.servers import Handoff, ServerPolicy, ServerRef

RECORD_WAIT_S = 5.0
RECORD_POLL_S = 0.05


async def launch(incoming: IncomingRequest, body: NewServer, spec: LaunchRequest) -> AcceptedView:
    """202: the server's workflow is started and launches the first instance."""
    if (repeated := await repeated_answer(incoming)) is not None:
        return repeated
    if not Pool.parse(spec.pool).zone.startswith(body.region):
        raise Problem(POOL_REFUSED, f"{spec.pool} is not in {body.region}")
    server_id = launched_server_id(incoming.caller.client_id, incoming.key)
    server = ServerRef(server_id, incoming.caller.client_id, body.name, body.region)
    policy = _policy(body)
    await incoming.services.database.read(_free_name, server)
    await incoming.services.database.read(require_sound_policy, server.client_id, policy)
    wanted = incoming.operation_request(OperationKind.LAUNCH, pool=spec.pool, launch=spec.spec())
    accepted = await incoming.services.temporal.launch(ServerInput(server, policy), wanted)
    incoming.services.server_owners.learn(server)
    return await answer_accepted(incoming, server, wanted, accepted)


async def adopt(incoming: IncomingRequest, body: ServerRequest) -> AdoptionView:
    """The instance becomes a server; or it is refused, with what would be lost and the calls that help."""
    assert body.instance_id is not None
    server_id = adopted_server_id(incoming.caller.client_id, incoming.key, incoming.digest)
    server = ServerRef(server_id, incoming.caller.client_id, body.name, body.region)
    if await incoming.services.database.read(_check_adoption, incoming, server, body.instance_id):
        incoming.response.headers["Idempotent-Replay"] = "true"
        return await _adopted_before(incoming, server_id)
    policy = _policy(body)
    await incoming.services.database.read(require_sound_policy, server.client_id, policy)
    work = AdoptInput(server, body.instance_id, policy, body.accept, mend=body.mend, dry_run=body.dry_run)
    result = await _adopt(incoming, work)
    if not result.server_id and not body.dry_run:
        raise _refused(result)
    if result.server_id:
        incoming.services.server_owners.learn(server)
        await incoming.write_audit(server, "server.adopt", "done", {"instance_id": body.instance_id})
        await _wait_for_record(incoming, server_id)
    return _view(result, body.name)


async def _adopt(incoming: IncomingRequest, work: AdoptInput) -> AdoptResult:
    try:
        return await incoming.services.temporal.adopt(work)
    except AlreadyRunning as error:
        raise Problem(BEING_ADOPTED, f"{work.instance_id} is being adopted by another request") from error
    except WorkflowCallError as error:
        raise problem_of(error, ADOPTION_REFUSED) from error


def _check_adoption(session: Session, incoming: IncomingRequest, server: ServerRef, instance_id: str) -> bool:
    """True: this very request was carried out before. Raises when it cannot be."""
    if incoming.key is not None:
        made = server_with_prefix(session, server.client_id, server_id_prefix(server.client_id, incoming.key))
        if made is not None and made.id != server.server_id:
            raise Problem(KEY_REUSED, f"it made server {made.id}; use a new key for a new request")
        if made is not None:
            return True
    # Looked up for all clients: an instance of another client is taken too. The answer does not say whose it is.
    held = get_instance(session, None, instance_id)
    if held is not None and held.state not in ENDED:
        mine = held.client_id == server.client_id
        whose = f" by server {held.server_id}" if mine else ""
        raise Problem(ALREADY_ADOPTED, f"{instance_id} is adopted already{whose}")
    _free_name(session, server)
    return False


def _free_name(session: Session, server: ServerRef) -> None:
    taken = server_by_name(session, server.client_id, server.name)
    if taken is not None and taken.id != server.server_id:
        raise Problem(NAME_TAKEN, f"server {taken.id} is called {server.name}; choose another name")


def _refused(result: AdoptResult) -> Problem:
    findings = [FindingDocument.model_validate(found) for found in result.findings]
    why = "; ".join(found.what for found in findings if found.blocking) or "the instance cannot be adopted"
    return Problem(ADOPTION_REFUSED, why, findings=findings)


def _policy(body: NewServer) -> ServerPolicy:
    accepted = body.accept if isinstance(body, ServerRequest) else []
    return body.policy.over(ServerPolicy(accepted_findings=list(accepted)))


def _view(result: AdoptResult, name: str) -> AdoptionView:
    return AdoptionView(
        server_id=result.server_id,
        name=name,
        handoff=result.handoff,
        placement=PlacementView.model_validate(result.placement) if result.placement else None,
        findings=[FindingDocument.model_validate(found) for found in result.findings],
        moves=result.moves,
    )


async def _adopted_before(incoming: IncomingRequest, server_id: str) -> AdoptionView:
    row = await incoming.services.database.read(get_server, incoming.caller.client_id, server_id)
    assert row is not None
    return AdoptionView(
        server_id=server_id,
        name=row.server.name,
        handoff=Handoff(row.server.handoff),
        placement=_placement(row.primary),
        findings=[],
        moves=row.server.moves,
    )


def _placement(primary: Instance | None) -> PlacementView | None:
    if primary is None:
        return None
    return PlacementView(
        instance_id=primary.id,
        pool=primary.pool,
        spot_request_id=primary.spot_request_id,
        usd_per_hour=primary.usd_per_hour or 0.0,
    )


async def _wait_for_record(incoming: IncomingRequest, server_id: str) -> None:
    """Wait a moment for the server's record, which follows its workflow: then the server of the answer can be read."""
    deadline = time.monotonic() + RECORD_WAIT_S
    while time.monotonic() < deadline:
        if await incoming.services.database.read(get_server, incoming.caller.client_id, server_id) is not None:
            return
        await asyncio.sleep(RECORD_POLL_S)
