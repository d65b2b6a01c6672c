"""No request body is larger than it has a reason to be.

FastAPI has such a limit itself, but answers it in plain text, whatever a handler says; here it is a problem
like any other.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY = 1024 * 1024


class BodyLimit:
    """Refuses by Content-Length before anything is read, and what comes without one as it comes."""

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
        # Raised where the body is read, inside the route: it is answered like any error there.
        return HTTPException(413, f"a body may have {self._limit} bytes at most", {"Connection": "close"})
