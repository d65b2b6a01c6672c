"""What would the policy have done with your servers? Asked for, run by a workflow, and kept."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from api.access.callers import ClientCaller, GuardedRoute, ReadingCaller
from api.http.problems import (
    ALREADY_FINAL,
    CONFLICT,
    CONTRADICTION,
    KEY_REUSED,
    NO_DATA,
    NOT_FOUND,
    Problem,
    documented,
)
from api.requests.backtests import store_backtest
from api.requests.idempotency import IdempotencyKey, digest_of
from api.services import Services, ServicesDep
from api.temporal.client import NoSuchWorkflow
from api.views.backtests import BacktestPage, BacktestRequest, BacktestSummary, BacktestView
from api.views.base import Cursor, Limit
from db.autopilot.backtests import finish_backtest, get_backtest, list_backtests
from db.clients.audit import write_audit
from db.tables import BacktestRow
from domain.backtest.contract import ENDED, BacktestState
from domain.names import new_id

router = APIRouter(prefix="/backtests", tags=["backtests"], route_class=GuardedRoute)
_NAMESPACE = uuid.UUID("0f7c6c0e-51c4-4a3e-9d55-2f6d9c1b8a10")


@router.post("", status_code=202, responses=documented(NOT_FOUND, CONFLICT, KEY_REUSED, NO_DATA, CONTRADICTION))
async def create(
    body: BacktestRequest,
    caller: ClientCaller,
    services: ServicesDep,
    request: Request,
    response: Response,
    key: IdempotencyKey = None,
) -> BacktestSummary:
    """202 with the backtest; `GET` it until it is `done`. 422 `no-data` for a time without prices."""
    backtest_id, digest, now = _id_of(caller.client_id, key), digest_of(request, body), datetime.now(UTC)

    def work(session: Session) -> BacktestRow:
        row = store_backtest(session, caller.client_id, backtest_id, digest, body, caller.token_id, now)
        if row.body_digest != digest:
            raise Problem(KEY_REUSED, f"it asked for backtest {row.id}; use a new key for a new request")
        write_audit(
            session,
            now,
            "backtest.run",
            "accepted",
            client_id=caller.client_id,
            token_id=caller.token_id,
            subject=row.id,
            remote_address=request.client.host if request.client else "",
        )
        return row

    row = await services.database.write(work)
    if row.state not in ENDED:
        await services.temporal.start_backtest(row.id, row.client_id)
    response.headers["Location"] = f"/api/backtests/{row.id}"
    return BacktestSummary.model_validate(row)


@router.get("")
async def index(caller: ReadingCaller, services: ServicesDep, cursor: Cursor = None, limit: Limit = 50) -> BacktestPage:
    """Newest first, without their results."""
    page = await services.database.read(list_backtests, caller.scope, cursor=cursor, limit=limit)
    return BacktestPage.model_validate(page)


@router.get("/{backtest_id}", responses=documented(NOT_FOUND))
async def show(backtest_id: str, caller: ReadingCaller, services: ServicesDep) -> BacktestView:
    return BacktestView.model_validate(await _find(services, caller.scope, backtest_id))


@router.post("/{backtest_id}/cancel", responses=documented(NOT_FOUND, ALREADY_FINAL))
async def cancel(backtest_id: str, caller: ClientCaller, services: ServicesDep) -> BacktestView:
    row = await _find(services, caller.client_id, backtest_id)
    if row.state in ENDED:
        raise Problem(ALREADY_FINAL, f"backtest {row.id} is {row.state}")
    try:
        await services.temporal.cancel_backtest(row.id)
    except NoSuchWorkflow:  # it was kept, but never started
        await services.database.write(finish_backtest, row.id, BacktestState.CANCELLED, datetime.now(UTC))
    return BacktestView.model_validate(await _find(services, caller.client_id, backtest_id))


def _id_of(client_id: str, key: str | None) -> str:
    return f"bkt-{uuid.uuid5(_NAMESPACE, f'{client_id}/{key}').hex[:20]}" if key else new_id("bkt")


async def _find(services: Services, client_id: str | None, backtest_id: str) -> BacktestRow:
    row = await services.database.read(get_backtest, client_id, backtest_id)
    if row is None:
        raise Problem(NOT_FOUND, f"there is no backtest {backtest_id}")
    return row
