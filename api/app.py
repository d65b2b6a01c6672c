"""The application: its routes, its answers to errors, and its background tasks. Its services are made elsewhere."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.responses import Response

from api.background.dependencies import log_until_available
from api.background.silent_agents import report_silent_agents
from api.database import THREADS
from api.http import api_reference, problems
from api.http.body_limit import BodyLimit
from api.http.dashboard import DashboardRoute
from api.http.problems import FieldError, Problem, ProblemDocument, ProblemKind
from api.http.request_log import REQUEST_ID, RequestLog
from api.http.security_headers import SecurityHeaders
from api.routes import (
    agents,
    backtests,
    clients,
    decisions,
    drift,
    events,
    fleet,
    forecast_models,
    health,
    instances,
    metrics,
    operations,
    pools,
    savings,
    server_operations,
    servers,
    session,
    system,
    webhooks,
)
from api.services import Services
from api.temporal.client import WorkflowCallError
from api.temporal.workflow_problems import RETRY_AFTER, problem_of
from db.engine.paging import BadCursor
from db.engine.session import is_unreachable
from telemetry.metrics.http_requests import RequestTimer

log = logging.getLogger(__name__)

_ROUTERS: tuple[APIRouter, ...] = (
    session.router,
    clients.router,
    fleet.router,
    servers.router,
    server_operations.router,
    instances.router,
    operations.router,
    events.router,
    agents.router,
    pools.router,
    decisions.router,
    drift.router,
    savings.router,
    webhooks.router,
    backtests.router,
    forecast_models.router,
    system.router,
)
_KIND_OF_STATUS: dict[int, ProblemKind] = {
    404: problems.NOT_FOUND,
    405: problems.METHOD_NOT_ALLOWED,
    413: problems.TOO_LARGE,
}


def create_app(services: Services | None) -> FastAPI:
    """The API over these services; nothing is contacted before the first request or the lifespan.

    Without services it can give its OpenAPI document, and answer no request.
    """
    app = FastAPI(
        title="Spot Optimizer",
        version="1",
        description="Keeps long-running EC2 servers on the cheapest capacity that is safe for them.",
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        responses={"default": _problem_response()},
        generate_unique_id_function=_operation_id,
    )
    app.state.services = services
    for router in _ROUTERS:
        app.include_router(router, prefix="/api")
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(api_reference.router)
    _add_page(app, services)
    _add_error_answers(app)
    app.add_middleware(BodyLimit)
    if services:
        app.add_middleware(RequestTimer, requests=services.metrics.requests)
    app.add_middleware(RequestLog, on_error=_unexpected_answer)
    app.add_middleware(SecurityHeaders)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _add_page(app: FastAPI, services: Services | None) -> None:
    """The last route: it takes what no other route took. Without services (for the document alone) there is none."""
    if services is not None:
        app.router.routes.append(DashboardRoute(services.settings.dashboard_dir))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    services: Services = app.state.services
    # The loop shuts the executor down at its own end.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="api"))
    lasting = (services.hub.run(), log_until_available(services), report_silent_agents(services))
    tasks = [asyncio.create_task(one) for one in lasting]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        services.database.engine.dispose()


def _add_error_answers(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> Response:
        return _answer(request, error)

    @app.exception_handler(WorkflowCallError)
    async def _operations(request: Request, error: WorkflowCallError) -> Response:
        return _answer(request, problem_of(error))

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return _answer(request, _invalid_values(error))

    @app.exception_handler(BadCursor)
    async def _cursor(request: Request, error: BadCursor) -> Response:
        fields = [FieldError(field="query.cursor", message=str(error))]
        return _answer(request, Problem(problems.INVALID, str(error), errors=fields))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        kind = _KIND_OF_STATUS.get(error.status_code, ProblemKind("http", error.status_code, error.detail))
        return _answer(request, Problem(kind, error.detail, headers=error.headers))

    @app.exception_handler(DBAPIError)
    async def _database(request: Request, error: DBAPIError) -> Response:
        if not is_unreachable(error):
            return _answer(request, _unexpected(error))
        return _answer(request, _database_down(request, "it does not answer"))

    @app.exception_handler(PoolTimeout)
    async def _pool(request: Request, error: PoolTimeout) -> Response:
        return _answer(request, _database_down(request, "no connection became free in time"))


def _answer(request: Request, problem: Problem) -> Response:
    return problem.response(request.url.path, REQUEST_ID.get())


def _unexpected_answer(request: Request, error: Exception) -> Response:
    return _answer(request, _unexpected(error))


def _unexpected(error: Exception) -> Problem:
    log.error("a request failed unexpectedly", exc_info=error)
    return Problem(problems.INTERNAL, "the log has what happened under this request_id")


def _database_down(request: Request, why: str) -> Problem:
    services: Services = request.app.state.services
    detail = f"the database at {services.settings.database_address}: {why}"
    log.warning(detail)
    return Problem(problems.DATABASE_UNREACHABLE, detail, headers=RETRY_AFTER)


def _invalid_values(error: RequestValidationError) -> Problem:
    """The fields, and what is wrong with each; never the value itself, which may be a secret."""
    fields = [FieldError(field=_path(found["loc"]), message=found["msg"]) for found in error.errors()]
    first = f"{fields[0].field}: {fields[0].message}" if fields else "the request cannot be read"
    return Problem(problems.INVALID, first, errors=fields)


def _path(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location)


def _operation_id(route: APIRoute) -> str:
    """The operation's name in generated clients, for example `servers_show`."""
    return f"{route.tags[0] if route.tags else 'plain'}_{route.name}"


def _problem_response() -> dict[str, object]:
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {"description": "A problem (RFC 9457)", "content": {problems.MEDIA_TYPE: {"schema": schema}}}


def _openapi(app: FastAPI) -> dict[str, object]:
    """FastAPI's document, and in it the schema of problems, to which every route refers."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schema = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        schemas.update(schema.pop("$defs", {}))
        schemas["ProblemDocument"] = schema
        _only_our_problems(document)
        app.openapi_schema = document
    return app.openapi_schema


def _only_our_problems(document: dict[str, object]) -> None:
    """Document 422 as this API sends it: FastAPI documents a form of its own."""
    paths = document["paths"]
    assert isinstance(paths, dict)
    for operations_of in paths.values():
        for operation in operations_of.values():
            answer = operation.get("responses", {}).get("422", {})
            if "application/json" in answer.get("content", {}):
                operation["responses"]["422"] = {**_problem_response(), "description": "Invalid values"}
