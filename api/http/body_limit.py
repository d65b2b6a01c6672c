"""The limit of request bodies.

FastAPI has such a limit too, but always answers it in plain text. Here it is a problem like any other.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1024 * 1024


class BodyLimit:
    """Refuses by Content-Length before anything is read; without one, as soon as the body is too long."""

    def __init__(self, app: ASGIApp, limit: int = MAX_BODY) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            receive = self._counted(receive, Headers(scope=scope).get("Content-Length", ""))
        await self._app(scope, receive, send)

    def _counted(self, receive: Receive, announced: str) -> Receive:
        size = 0

        async def counted() -> Message:
            nonlocal size
            if announced.isdecimal() and int(announced) > self._limit:
                raise self._too_large()
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._limit:
                raise self._too_large()
            return message

        return counted

    def _too_large(self) -> HTTPException:
        # Raised inside the route, which reads the body: so it is answered like any other error.
        return HTTPException(413, f"a body may have {self._limit} bytes at most", {"Connection": "close"})
