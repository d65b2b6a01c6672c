"""The instance metadata service, version 2: one endpoint per instance, known by its own address."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping

from anyio.from_thread import BlockingPortal

from lab.hosts.metadata import Notices, fact_paths, listing, notice_paths

MAX_TTL_S = 21600
IDLE_S = 60.0
TOKEN_PATH = "/latest/api/token"  # noqa: S105  a path, not a secret
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 405: "Method Not Allowed"}
NOTICE_FOLDERS = ("meta-data/spot/", "meta-data/events/")
Response = tuple[int, str, dict[str, str]]


class Endpoint:
    """The endpoint of one instance. `facts` may block, so it is called in a worker thread."""

    def __init__(self, facts: Callable[[], Mapping[str, object]], sign: Callable[[str], str]) -> None:
        self.notices = Notices()
        self.server: asyncio.Server | None = None
        self._facts = facts
        self._sign = sign
        self._tokens: dict[str, float] = {}

    async def answer(self, method: str, path: str, headers: Mapping[str, str]) -> Response:
        if path == TOKEN_PATH:
            return self._issue(headers) if method == "PUT" else (405, "", {"Allow": "OPTIONS, PUT"})
        if method not in ("GET", "HEAD"):
            return 405, "", {"Allow": "GET, HEAD"}
        if self._tokens.get(headers.get("x-aws-ec2-metadata-token", ""), 0.0) < time.monotonic():
            return 401, "", {}
        for version in ("/latest/", "/2021-07-15/"):
            if path.startswith(version):
                return await self._read(path.removeprefix(version))
        return (200, "2021-07-15\nlatest", {}) if path == "/" else (404, "", {})

    def _issue(self, headers: Mapping[str, str]) -> Response:
        """IMDS refuses to give tokens through a proxy."""
        asked = headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if "x-forwarded-for" in headers:
            return 403, "", {}
        if not asked.isdigit() or not 1 <= int(asked) <= MAX_TTL_S:
            return 400, "", {}
        now = time.monotonic()
        self._tokens = {token: end for token, end in self._tokens.items() if end >= now}
        token = secrets.token_urlsafe(40)
        self._tokens[token] = now + int(asked)
        return 200, token, {"X-Aws-Ec2-Metadata-Token-Ttl-Seconds": asked}

    async def _read(self, path: str) -> Response:
        paths = notice_paths(self.notices)
        if not path.startswith(NOTICE_FOLDERS):
            facts = await asyncio.to_thread(self._facts)
            paths |= await asyncio.to_thread(fact_paths, facts, self._sign)
        value = paths.get(path.rstrip("/"))
        if value is None:
            value = listing(paths, path)
        return (200, value, {}) if value is not None else (404, "", {})


class Imds:
    """Opens and closes endpoints on `<private address>:port`."""

    def __init__(self, portal: BlockingPortal, port: int, sign: Callable[[str], str]) -> None:
        self._portal = portal
        self._port = port
        self._sign = sign
        self._endpoints: dict[str, Endpoint] = {}
        self._early: dict[str, Notices] = {}  # notices that came before the instance's endpoint

    def open(self, instance: str, address: str, facts: Callable[[], Mapping[str, object]]) -> None:
        async def work() -> None:
            if instance in self._endpoints:
                return
            endpoint = Endpoint(facts, self._sign)
            endpoint.notices = self._early.pop(instance, Notices())
            endpoint.server = await asyncio.start_server(_conversation(endpoint), address, self._port)
            self._endpoints[instance] = endpoint

        self._portal.call(work)

    def close(self, instance: str) -> None:
        async def work() -> None:
            self._early.pop(instance, None)
            endpoint = self._endpoints.pop(instance, None)
            if endpoint is not None and endpoint.server is not None:
                endpoint.server.close()

        self._portal.call(work)

    def notify(self, instance: str, change: Callable[[Notices], Notices]) -> None:
        async def work() -> None:
            endpoint = self._endpoints.get(instance)
            if endpoint is not None:
                endpoint.notices = change(endpoint.notices)
            else:
                self._early[instance] = change(self._early.get(instance, Notices()))

        self._portal.call(work)


def _conversation(
    endpoint: Endpoint,
) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], asyncio.Task[None]]:
    def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Task[None]:
        return asyncio.ensure_future(_converse(endpoint, reader, writer))

    return accepted


async def _converse(endpoint: Endpoint, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while request := await asyncio.wait_for(_read_request(reader), IDLE_S):
            method, path, headers = request
            status, body, extra = await endpoint.answer(method, path, headers)
            writer.write(_response(status, body, extra, method))
            await writer.drain()
    except (OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
        return  # the client is gone, silent, or does not speak HTTP
    finally:
        writer.close()


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, str, dict[str, str]] | None:
    first = await reader.readline()
    if not first.strip():
        return None
    method, target, _ = first.decode("latin-1").split()
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    await reader.readexactly(int(headers.get("content-length", "0")))
    return method, target.partition("?")[0], headers


def _response(status: int, body: str, extra: Mapping[str, str], method: str) -> bytes:
    content = body.encode()
    fields = {"Content-Type": "text/plain", "Content-Length": str(len(content)), "Server": "EC2ws"} | dict(extra)
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}\r\n"
    head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return head.encode() + (b"" if method == "HEAD" else content)
