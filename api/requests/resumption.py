"""Resumption: a server whose workflow Temporal has lost gets a new one."""

from __future__ import annotations

from api.http.problems import BEING_RESUMED, KEY_REUSED, RESUME_REFUSED, FindingDocument, Problem
from api.requests.operations import IncomingRequest
from api.temporal.client import AlreadyRunning, WorkflowCallError
from api.temporal.workflow_problems import RETRY_AFTER, problem_of
from api.views.servers import PlacementView, ResumeRequest, ResumeView
from db.fleet.operations import operation_by_request
from domain.resumption import ResumeInput, ResumeResult, blocking_resumption
from domain.servers import ServerRef


async def resume(incoming: IncomingRequest, server: ServerRef, body: ResumeRequest) -> ResumeView:
    """Resume the server, or raise a Problem with what is in the way. The same key again gets the same answer."""
    if incoming.key is not None:
        used = await incoming.services.database.read(operation_by_request, server.client_id, incoming.request_id)
        if used is not None:
            raise Problem(KEY_REUSED, f"it asked for operation {used.id}; use a new key for a new request")
    by, dry = incoming.caller.token_id, body.dry_run
    given = ResumeInput(server, incoming.request_id, incoming.digest, by, body.accept, dry, body.let_go)
    result = await _resume(incoming, given)
    done = result.resumed or result.let_go
    if not done and not dry:
        raise _refused(result, body.accept)
    if result.repeated:
        incoming.response.headers["Idempotent-Replay"] = "true"
    elif done:
        action = "server.let_go" if result.let_go else "server.resume"
        await incoming.write_audit(server, action, "done", {"ended": result.ended})
    return ResumeView(
        server_id=server.server_id,
        resumed=result.resumed,
        let_go=result.let_go,
        placement=PlacementView.model_validate(result.placement) if result.placement else None,
        findings=_findings(result),
        ended=result.ended,
    )


async def _resume(incoming: IncomingRequest, work: ResumeInput) -> ResumeResult:
    try:
        return await incoming.services.temporal.resume(work)
    except AlreadyRunning as error:
        words = f"{work.server.server_id} is being resumed; ask again in a moment, with the same key"
        raise Problem(BEING_RESUMED, words, headers=RETRY_AFTER) from error
    except WorkflowCallError as error:
        raise problem_of(error, RESUME_REFUSED) from error


def _refused(result: ResumeResult, accepted: list[str]) -> Problem:
    why = "; ".join(found.what for found in blocking_resumption(result.findings, accepted))
    return Problem(RESUME_REFUSED, why, findings=_findings(result))


def _findings(result: ResumeResult) -> list[FindingDocument]:
    return [FindingDocument.model_validate(found) for found in result.findings]
