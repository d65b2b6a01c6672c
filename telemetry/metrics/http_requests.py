"""How long the API takes to answer, by route. Plain ASGI, so that event streams are not held back."""

from __future__ import annotations

import time
from typing import Any

from prometheus_client import CollectorRegistry, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_UNKNOWN = "unknown"  # no route matched: a path that somebody made up is no label


class RequestDurations:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.durations = Histogram(
            "spot_optimizer_api_request_duration_seconds",
            "From the request to the beginning of its answer",
            ("method", "route", "status"),
            buckets=SECONDS,
            registry=registry,
        )

    def observe(self, scope: Scope, status: int, seconds: float) -> None:
        route: Any = scope.get("route")
        path = str(getattr(route, "path", "") or _UNKNOWN)  # as its router names it: without /api
        method = scope["method"] if path != _UNKNOWN else _UNKNOWN
        self.durations.labels(method, path, f"{status // 100}xx").observe(seconds)


class RequestTimer:
    """Measures up to the first byte: a stream lasts as long as its reader wants."""

    def __init__(self, app: ASGIApp, requests: RequestDurations) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._requests.observe(scope, message["status"], time.monotonic() - started)
            await send(message)

        await self._app(scope, receive, noted)
