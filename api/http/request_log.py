"""The log of requests: each has an ID, which its log lines and its answer carry."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.names import new_id
from telemetry.logs import configure_logs

log = logging.getLogger("api.access")

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")


def configure(level: str) -> None:
    """Lines of a request carry its ID."""
    configure_logs(level, _request_context)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)


def _request_context() -> Mapping[str, object]:
    request_id = REQUEST_ID.get()
    return {"request_id": request_id} if request_id else {}


class RequestLog:
    """Gives each request an ID, sends it back as X-Request-Id, and logs how the request ended.

    Plain ASGI: a middleware that wraps the response body would hold back the event streams.
    """

    def __init__(self, app: ASGIApp, on_error: Callable[[Request, Exception], Response]) -> None:
        self._app = app
        self._on_error = on_error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_id(Headers(scope=scope)) or new_id("req")
        started = time.monotonic()
        status = 0

        async def tagged(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await self._app(scope, receive, tagged)
        except Exception as error:
            # Answered here: further out the request's ID is no longer known.
            answer = self._on_error(Request(scope), error)
            if status:
                raise  # the answer has begun: the server has to break the connection
            await answer(scope, receive, tagged)
        finally:
            _log_end(scope, status, started)
            REQUEST_ID.reset(token)


def _given_id(headers: Headers) -> str:
    given = headers.get("X-Request-Id", "")
    return given if len(given) <= 64 and given.replace("-", "").isalnum() and given.isascii() else ""


def _log_end(scope: Scope, status: int, started: float) -> None:
    # The query string stays out: a caller may have put a secret there.
    ms = round((time.monotonic() - started) * 1000, 1)
    level = logging.DEBUG if scope["path"].startswith("/health") else logging.INFO
    log.log(
        level,
        "%s %s %s",
        scope["method"],
        scope["path"],
        status or "aborted",
        extra={"method": scope["method"], "path": scope["path"], "status": status, "ms": ms},
    )
