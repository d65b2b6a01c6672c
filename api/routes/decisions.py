"""What the autopilot decided and why; approving and rejecting what waits; deciding now."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from api.access.callers import AdminCaller, ClientCaller, GuardedRoute, ReadingCaller
from api.access.tokens import Caller
from api.http.problems import CONFLICT, NOT_FOUND, Problem, documented
from api.requests.policies import keep_old_seconds
from api.services import Services, ServicesDep
from api.views.base import Cursor, Limit
from api.views.decisions import DecisionPage, DecisionView, Rejection, RoundView
from api.views.operations import AcceptedView, links
from db.autopilot.decisions import change_decision_state, get_decision, list_decisions
from db.clients.audit import write_audit
from db.tables import DecisionRow
from domain.autopilot.contract import REQUESTED_BY, EvaluateInput, operation_for
from domain.autopilot.policy_gates import DecisionState
from domain.operations import OperationRequest, Priority

router = APIRouter(prefix="/decisions", tags=["decisions"], route_class=GuardedRoute)


@router.get("")
async def index(
    caller: ReadingCaller,
    services: ServicesDep,
    server_id: Annotated[str | None, Query(max_length=64)] = None,
    state: DecisionState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> DecisionPage:
    """Newest first. `state=proposed`: those that wait for approval."""
    page = await services.database.read(
        list_decisions, caller.scope, server_id=server_id, state=state, cursor=cursor, limit=limit
    )
    return DecisionPage.model_validate(page)


@router.get("/{decision_id}", response_model_exclude_unset=True, responses=documented(NOT_FOUND))
async def show(decision_id: str, caller: ReadingCaller, services: ServicesDep) -> DecisionView:
    return DecisionView.model_validate(await _find(services, caller.scope, decision_id))


@router.post("/{decision_id}/approve", status_code=202, responses=documented(NOT_FOUND, CONFLICT))
async def approve(
    decision_id: str, caller: ClientCaller, services: ServicesDep, request: Request, response: Response
) -> AcceptedView:
    """Its operation is asked for now, and reads the facts once more before it begins."""
    row = await _change_state(services, caller, request, decision_id, DecisionState.APPROVED)
    wanted = OperationRequest(
        request_id=row.id,
        kind=operation_for(row.kind),
        priority=Priority(row.priority),
        pool=row.to_pool,
        requested_by=REQUESTED_BY,
        decision_id=row.id,
        keep_old_s=await services.database.read(keep_old_seconds, row.client_id, row.server_id),
    )
    accepted = await services.temporal.request(row.server_id, wanted)  # if it fails, the next round asks again
    await services.database.write(
        change_decision_state,
        row.id,
        DecisionState.ASKED,
        datetime.now(UTC),
        by=caller.token_id,
        expected=(DecisionState.APPROVED,),
        operation_id=accepted.operation_id,
    )
    found = links(accepted.operation_id, row.server_id)
    response.headers["Location"] = found.self
    return AcceptedView(
        operation_id=accepted.operation_id, server_id=row.server_id, status=accepted.status, links=found
    )


@router.post("/{decision_id}/reject", response_model_exclude_unset=True, responses=documented(NOT_FOUND, CONFLICT))
async def reject(
    decision_id: str, body: Rejection, caller: ClientCaller, services: ServicesDep, request: Request
) -> DecisionView:
    """The same is not proposed again for a day."""
    return DecisionView.model_validate(
        await _change_state(services, caller, request, decision_id, DecisionState.REJECTED, body.why)
    )


@router.post("/rounds")
async def decide_now(caller: AdminCaller, services: ServicesDep) -> RoundView:
    """One pass over every client's fleet, now; joins the one that runs."""
    done = await services.temporal.evaluate(EvaluateInput())
    return RoundView(
        servers=done.servers,
        counts=done.counts,
        asked=len(done.asks),
        proposed=len(done.proposals),
        skipped=done.skipped,
    )


async def _change_state(
    services: Services, caller: Caller, request: Request, decision_id: str, state: DecisionState, why: str = ""
) -> DecisionRow:
    row = await _find(services, caller.client_id, decision_id)

    def work(session: Session) -> DecisionRow | None:
        now = datetime.now(UTC)
        write_audit(
            session,
            now,
            f"decision.{state.value}",
            "accepted",
            client_id=row.client_id,
            token_id=caller.token_id,
            subject=row.id,
            remote_address=request.client.host if request.client else "",
        )
        return change_decision_state(
            session, row.id, state, now, why=why, by=caller.token_id, expected=(DecisionState.PROPOSED,)
        )

    moved = await services.database.write(work)
    if moved is None:
        latest = await _find(services, caller.client_id, decision_id)
        raise Problem(CONFLICT, f"decision {decision_id} is {latest.state}; only what is proposed waits for a word")
    return moved


async def _find(services: Services, client_id: str | None, decision_id: str) -> DecisionRow:
    row = await services.database.read(get_decision, client_id, decision_id)
    if row is None:
        raise Problem(NOT_FOUND, f"there is no decision {decision_id}")
    return row
