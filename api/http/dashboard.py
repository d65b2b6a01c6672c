"""The dashboard at `/`: its built files, served to people's browsers.

Files whose names carry a hash of their content (Vite's `assets/`) may be cached for ever, the page itself never. Any
other address that a person opens gets the page, which knows its own routes. Addresses for machines are not answered
here. Only files that were found in the folder are served: no path of a request reaches the file system.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

MACHINE_PATHS = ("/api", "/docs", "/openapi.json", "/health", "/metrics")
NOT_BUILT = """The page is not built.

From a checkout: `make dashboard`, then load this address again (Node 20 or newer is looked for, and got if it can be).
The image of deploy/images/Dockerfile has it. SPOT_DASHBOARD_DIR names another folder than dashboard/dist.
The API works without it: its documentation is at /docs.
"""
_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_WORTH_PACKING = ("text/", "application/javascript", "application/json", "image/svg+xml", "application/manifest+json")
_LEAST_BYTES = 1024

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("application/manifest+json", ".webmanifest")


@dataclass(frozen=True)
class DashboardFile:
    """One built file, compressed once; `packed` None where compression gains nothing."""

    media_type: str
    plain: bytes
    packed: bytes | None
    etag: str
    cache: str

    @classmethod
    def of(cls, path: Path, name: str) -> DashboardFile:
        plain = path.read_bytes()
        media_type = mimetypes.guess_type(name)[0] or "application/octet-stream"
        packed = gzip.compress(plain, 9, mtime=0) if media_type.startswith(_WORTH_PACKING) else b""
        worth = len(plain) >= _LEAST_BYTES and 0 < len(packed) < len(plain)
        cache = "no-store" if name == "index.html" else _FOR_EVER if name.startswith("assets/") else _ASK_AGAIN
        etag = f'"{hashlib.sha256(plain).hexdigest()[:32]}"'
        return cls(media_type, plain, packed if worth else None, etag, cache)

    def response(self, asked: Headers) -> Response:
        headers = {"Cache-Control": self.cache, "Vary": "Accept-Encoding"}
        if self.cache != "no-store":
            headers["ETag"] = self.etag
            if self.etag in asked.get("If-None-Match", ""):
                return Response(status_code=304, headers=headers)
        body = self.plain
        if self.packed is not None and "gzip" in asked.get("Accept-Encoding", ""):
            body = self.packed
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers, media_type=self.media_type)


class DashboardFiles:
    """The files of the folder; read again after another build."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, ...] | None = None
        self._files: dict[str, DashboardFile] = {}
        self.find("index.html")  # compressed now, not while somebody waits

    def find(self, name: str) -> DashboardFile | None:
        """A file by its name in the folder."""
        stamp = self._built()
        if stamp != self._stamp:
            self._files = dict(self._read()) if stamp else {}
            self._stamp = stamp
        return self._files.get(name)

    def _built(self) -> tuple[int, ...] | None:
        try:
            index = (self._folder / "index.html").stat()
            assets = (self._folder / "assets").stat()
        except OSError:
            return None
        return index.st_mtime_ns, index.st_ino, assets.st_mtime_ns

    def _read(self) -> list[tuple[str, DashboardFile]]:
        found = [path for path in self._folder.rglob("*") if path.is_file() and not path.name.startswith(".")]
        names = [(path, path.relative_to(self._folder).as_posix()) for path in found if not path.is_symlink()]
        return [(name, DashboardFile.of(path, name)) for path, name in names if not name.endswith(".map")]


class DashboardRoute(BaseRoute):
    """The last route: it takes what no other route took, if a person's browser may have asked for it."""

    def __init__(self, folder: Path) -> None:
        self._page = DashboardFiles(folder)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        mine = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and not _is_for_machines(scope["path"])
        return (Match.FULL if mine else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        await self._answer(scope["path"].lstrip("/"), headers)(scope, receive, send)

    def _answer(self, name: str, headers: Headers) -> Response:
        index = self._page.find("index.html")
        found = self._page.find(name)
        if found is not None:
            return found.response(headers)
        if not _is_navigation(name, headers):
            raise HTTPException(404, "there is neither a call nor a file of that name")
        return index.response(headers) if index else PlainTextResponse(NOT_BUILT, 404)


def _is_for_machines(path: str) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in MACHINE_PATHS)


def _is_navigation(name: str, headers: Headers) -> bool:
    """Whether a person opens an address. A missing file of an older page must not be answered with HTML."""
    if name.startswith("assets/"):
        return False
    mode = headers.get("Sec-Fetch-Mode")
    return mode == "navigate" if mode else not name or "text/html" in headers.get("Accept", "")
