"""Models that forecast: registered by an admin, in shadow for everybody, deciding for a client once they are proven."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session

from api.access.callers import AdminCaller, GuardedRoute, ReadingCaller
from api.access.tokens import Caller
from api.http.problems import (
    CONFLICT,
    INVALID,
    MODEL_REFUSED,
    MODEL_UNPROVEN,
    NOT_FOUND,
    FieldError,
    Problem,
    documented,
)
from api.services import Services, ServicesDep
from api.views.forecast_models import (
    ActivationRequest,
    ComparedView,
    ModelDetail,
    ModelList,
    ModelRequest,
    ModelView,
    RollBackRequest,
    UseView,
)
from db.autopilot.forecast_models import (
    ModelStateConflict,
    ModelUnproven,
    activate,
    get_model,
    list_models,
    register,
    retire,
    roll_back,
    shadow_comparisons,
    uses_of,
)
from db.clients.audit import write_audit
from db.clients.clients import get_client
from db.tables import ModelRow
from domain.forecasting.forecaster import ForecasterState, ForecastFailed
from domain.names import new_id
from forecasting.model_process import ModelRefused
from forecasting.onnx_forecaster import OnnxForecaster

router = APIRouter(prefix="/models", tags=["models"], route_class=GuardedRoute)


@router.post("", status_code=201, responses=documented(MODEL_REFUSED, CONFLICT))
async def create(body: ModelRequest, caller: AdminCaller, services: ServicesDep, request: Request) -> ModelView:
    """The file is checked and tried out in a process of its own; then it runs in shadow. Once for each file."""
    try:
        content = body.content()
    except ValueError as error:
        raise Problem(INVALID, str(error), errors=[FieldError(field="body.onnx", message=str(error))]) from error
    await asyncio.to_thread(_try_out, body, content)
    row = ModelRow(
        id=new_id("mdl"),
        name=body.name,
        sha256=body.sha256,
        size=len(content),
        content=content,
        features=body.features,
        report=body.report,
        state=ForecasterState.SHADOW.value,
        registered_at=datetime.now(UTC),
        registered_by=caller.token_id,
    )

    def work(session: Session) -> ModelRow:
        kept = register(session, row)
        _audit(session, request, caller, "model.register", kept.id, sha256=kept.sha256)
        return kept

    try:
        return ModelView.model_validate(await services.database.write(work))
    except ModelStateConflict as error:
        raise Problem(CONFLICT, str(error)) from error


@router.get("")
async def index(caller: ReadingCaller, services: ServicesDep) -> ModelList:
    found = await services.database.read(list_models)
    return ModelList(items=[ModelView.model_validate(row) for row in found])


@router.get("/{model_id}", responses=documented(NOT_FOUND))
async def show(model_id: str, caller: ReadingCaller, services: ServicesDep) -> ModelDetail:
    """With the caller's own uses of it, and how its decisions compare; an admin sees every client's."""
    row = await _find(services, model_id)
    uses = await services.database.read(uses_of, model_id, caller.scope)
    figures = await services.database.read(shadow_comparisons, model_id, caller.scope)
    return ModelDetail(
        **ModelView.model_validate(row).model_dump(),
        uses=[UseView.model_validate(use) for use in uses],
        compared=[ComparedView.model_validate(one) for one in figures],
    )


@router.post("/{model_id}/activate", responses=documented(NOT_FOUND, CONFLICT, MODEL_UNPROVEN))
async def start(
    model_id: str, body: ActivationRequest, caller: AdminCaller, services: ServicesDep, request: Request
) -> UseView:
    """Refused unless a backtest on the client's own history shows it to be cheaper, or it is forced with a reason."""
    await _find(services, model_id)
    await _client(services, body.client_id)

    def work(session: Session) -> Any:
        how: dict[str, Any] = {"forced": body.force, "why": body.why}
        use = activate(session, model_id, body.client_id, caller.token_id, datetime.now(UTC), **how)
        _audit(session, request, caller, "model.activate", model_id, client_id=body.client_id, **how)
        return use

    try:
        return UseView.model_validate(await services.database.write(work))
    except ModelUnproven as error:
        raise Problem(MODEL_UNPROVEN, str(error)) from error
    except ModelStateConflict as error:
        raise Problem(CONFLICT, str(error)) from error


@router.post("/{model_id}/rollback", responses=documented(NOT_FOUND, CONFLICT))
async def undo(
    model_id: str, body: RollBackRequest, caller: AdminCaller, services: ServicesDep, request: Request
) -> UseView:
    """Back to what decided before it: the model before, if that still runs, else the built-in policy."""
    await _find(services, model_id)
    await _client(services, body.client_id)

    def work(session: Session) -> Any:
        active = [use for use in uses_of(session, model_id, body.client_id) if use.ended_at is None]
        if not active:
            raise ModelStateConflict(f"model {model_id} does not decide for client {body.client_id}")
        _audit(session, request, caller, "model.roll_back", model_id, client_id=body.client_id)
        return roll_back(session, body.client_id, caller.token_id, datetime.now(UTC))

    try:
        return UseView.model_validate(await services.database.write(work))
    except ModelStateConflict as error:
        raise Problem(CONFLICT, str(error)) from error


@router.post("/{model_id}/retire", responses=documented(NOT_FOUND))
async def end(model_id: str, caller: AdminCaller, services: ServicesDep, request: Request) -> ModelView:
    """It is run for nobody any more; clients that it decided for are back at the built-in policy."""

    def work(session: Session) -> ModelRow | None:
        _audit(session, request, caller, "model.retire", model_id)
        return retire(session, model_id, caller.token_id, datetime.now(UTC))

    await _find(services, model_id)
    return ModelView.model_validate(await services.database.write(work))


def _try_out(body: ModelRequest, content: bytes) -> None:
    try:
        forecaster = OnnxForecaster(body.name, content, body.features, body.sha256)
        try:
            forecaster.start()
        finally:
            forecaster.close()
    except (ModelRefused, ForecastFailed) as error:
        raise Problem(MODEL_REFUSED, str(error)) from error


def _audit(session: Session, request: Request, caller: Caller, action: str, subject: str, **details: Any) -> None:
    write_audit(
        session,
        datetime.now(UTC),
        action,
        "accepted",
        client_id=details.get("client_id"),
        token_id=caller.token_id,
        subject=subject,
        remote_address=request.client.host if request.client else "",
        details=details,
    )


async def _find(services: Services, model_id: str) -> ModelRow:
    row = await services.database.read(get_model, model_id)
    if row is None:
        raise Problem(NOT_FOUND, f"there is no model {model_id}")
    return row


async def _client(services: Services, client_id: str) -> None:
    if await services.database.read(get_client, client_id) is None:
        raise Problem(NOT_FOUND, f"there is no client {client_id}")
