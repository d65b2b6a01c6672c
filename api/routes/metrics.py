"""For Prometheus. Aggregates alone, and yet not for everybody: they tell how large a fleet is and what it costs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response
from fastapi.security import HTTPAuthorizationCredentials
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from api.access.authentication import authenticate
from api.access.tokens import TokenKind
from api.http.problems import FORBIDDEN, UNAUTHENTICATED, Problem
from api.services import Services, ServicesDep
from telemetry.metrics.serving import allowed

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
async def metrics(services: ServicesDep, authorization: Annotated[str, Header()] = "") -> Response:
    """With SPOT_METRICS_TOKEN, which can do nothing else, or an admin's token."""
    await _admit(services, authorization)
    text = await run_in_threadpool(generate_latest, services.metrics.registry)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def _admit(services: Services, authorization: str) -> None:
    token = services.settings.metrics_token
    if token is not None and allowed(authorization, token.get_secret_value()):
        return
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer" or not given:
        raise Problem(UNAUTHENTICATED, "send `Authorization: Bearer` with SPOT_METRICS_TOKEN or an admin's token")
    caller = await authenticate(services, HTTPAuthorizationCredentials(scheme="Bearer", credentials=given))
    if caller.kind is not TokenKind.ADMIN:
        raise Problem(FORBIDDEN, "metrics are of all clients: they need SPOT_METRICS_TOKEN or an admin's token")
