"""A server whose workflow Temporal has lost: looked at, and brought back."""

from __future__ import annotations

from datetime import UTC, datetime

from api.http.problems import BEING_RESUMED, KEY_REUSED, RESUME_REFUSED, FindingDocument, Problem
from api.requests.operations import IncomingRequest
from api.temporal.client import AlreadyRunning, WorkflowCallError
from api.temporal.workflow_problems import RETRY_AFTER, problem_of
from api.views.servers import PlacementView, ResumeRequest, ResumeView
from db.clients.audit import write_audit
from db.fleet.operations import operation_by_request
from domain.resumption import ResumeInput, ResumeResult, blocking_resumption
from domain.servers import ServerRef


async def resume(asked: IncomingRequest, server: ServerRef, body: ResumeRequest) -> ResumeView:
    """Brought back, or refused with what is in the way. The same key again, once it is, is answered the same."""
    if asked.key is not None:
        used = await asked.services.database.read(operation_by_request, server.client_id, asked.request_id)
        if used is not None:
            raise Problem(KEY_REUSED, f"it asked for operation {used.id}; use a new key for a new request")
    by, dry = asked.caller.token_id, body.dry_run
    given = ResumeInput(server, asked.request_id, asked.digest, by, body.accept, dry, body.let_go)
    result = await _resume(asked, given)
    done = result.resumed or result.let_go
    if not done and not dry:
        raise _refused(result, body.accept)
    if result.repeated:
        asked.response.headers["Idempotent-Replay"] = "true"
    elif done:
        await _write_audit(asked, server, result)
    return ResumeView(
        server_id=server.server_id,
        resumed=result.resumed,
        let_go=result.let_go,
        placement=PlacementView.model_validate(result.placement) if result.placement else None,
        findings=_findings(result),
        ended=result.ended,
    )


async def _resume(asked: IncomingRequest, work: ResumeInput) -> ResumeResult:
    try:
        return await asked.services.operations.resume(work)
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


async def _write_audit(asked: IncomingRequest, server: ServerRef, result: ResumeResult) -> None:
    await asked.services.database.write(
        write_audit,
        datetime.now(UTC),
        "server.let_go" if result.let_go else "server.resume",
        "done",
        client_id=server.client_id,
        token_id=asked.caller.token_id,
        subject=server.server_id,
        request_id=asked.request_id,
        remote_address=asked.request.client.host if asked.request.client else "",
        details={"ended": result.ended},
    )
