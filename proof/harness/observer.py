"""The observer: clients that send the servers requests all the time, outside of the product.

Each client sends a request every few milliseconds, over a new connection each time. It notes when the
request began and ended, whether it succeeded, and which instance answered. Clients of a server with a
volume write numbers, and repeat each until it is acknowledged. At the end every acknowledged number has
to be on disk. `proof.harness.outage` defines what an outage is by these notes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import httpx
from anyio.from_thread import BlockingPortal

from proof.harness.outage import Sample
from proof.harness.waiting import ScenarioFailed, until

PAUSE_S = 0.025  # at this pace one client for each server costs a small share of a core; see `_exchange`
TIMEOUT_S = 2.0
_CHUNK = 65536
_ANSWERS_S = 90.0


@dataclass(frozen=True)
class Endpoint:
    """Where a server's clients find it. `writes`: it has a volume, and acknowledges writes."""

    server: str
    address: str
    port: int
    writes: bool

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"


@dataclass
class EndpointClient:
    """One client and its samples. Only the observer's thread adds samples."""

    name: str
    endpoint: Endpoint
    samples: list[Sample] = field(default_factory=list)

    @property
    def acknowledged(self) -> dict[int, float]:
        """Each acknowledged write's number, and when it was acknowledged."""
        return {sample.n: sample.ended for sample in self.samples if sample.ok and sample.n}


@dataclass(frozen=True)
class Writes:
    """A server's writes: when each was acknowledged, and when those were that are not on disk."""

    acknowledged: Sequence[float] = ()
    lost: Sequence[float] = ()


class Observer:
    """Sends requests to endpoints from the thread of the given portal until `stop`."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._stop = asyncio.Event()
        self._clients: list[EndpointClient] = []
        self._done: list[Future[None]] = []

    def watch(self, endpoint: Endpoint, clients: int = 1) -> None:
        """Begin once the endpoint answers. Raises WaitTimedOut when it does not."""
        with httpx.Client(base_url=endpoint.url, timeout=TIMEOUT_S, trust_env=False) as http:
            until(f"{endpoint.server} answers at {endpoint.url}", _ANSWERS_S, lambda: _answers(http))
        for number in range(1, clients + 1):
            client = EndpointClient(f"{endpoint.server}-{number}", endpoint)
            self._clients.append(client)
            self._done.append(self._portal.start_task_soon(self._ask_on, client))

    def samples(self, server: str) -> list[Sequence[Sample]]:
        """The samples of each client of the server so far."""
        return [tuple(client.samples) for client in self._of(server)]

    def seen_until(self, server: str, instant: float) -> bool:
        """Whether every client of the server has a sample that ended after this instant."""
        return all(client.samples and client.samples[-1].ended > instant for client in self._of(server))

    def stop(self) -> None:
        """Send no new request, and wait for those under way."""
        self._portal.call(self._stop.set)
        until("the observer's last requests end", 30 * TIMEOUT_S, self._all_done)

    def count_writes(self, server: str) -> Writes:
        """Compare what was acknowledged with what is on disk, read through the server's address."""
        acknowledged: list[float] = []
        lost: list[float] = []
        for client in self._of(server):
            if not client.endpoint.writes:
                continue
            on_disk = writes_on_disk(client)
            for n, instant in client.acknowledged.items():
                acknowledged.append(instant)
                if n not in on_disk:
                    lost.append(instant)
        return Writes(acknowledged, lost)

    def _of(self, server: str) -> list[EndpointClient]:
        return [client for client in self._clients if client.endpoint.server == server]

    def _all_done(self) -> bool | None:
        return True if all(future.done() for future in self._done) else None

    async def _ask_on(self, client: EndpointClient) -> None:
        n = 1 if client.endpoint.writes else 0
        while not self._stop.is_set():
            sample = await request_once(client.endpoint, client.name, n)
            client.samples.append(sample)
            if n and sample.ok:
                n += 1
            await asyncio.sleep(PAUSE_S)


async def request_once(endpoint: Endpoint, client: str, n: int) -> Sample:
    """Send one request: a read, or write number `n`. A failure is part of the sample, and is not raised."""
    request = _write(endpoint, client, n) if n else _read(endpoint)
    started = time.time()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status, body = parse_response(await _exchange(endpoint, request))
    except (OSError, TimeoutError, ValueError) as error:
        return Sample(started, time.time(), False, n=n, error=f"{type(error).__name__}: {error}"[:120])
    if status != 200:
        return Sample(started, time.time(), False, n=n, error=f"HTTP {status}")
    return Sample(started, time.time(), True, str(body.get("instance", "")), n)


def writes_on_disk(client: EndpointClient) -> set[int]:
    """The client's numbers that the workload reads from its volume now."""
    try:
        answer = httpx.get(
            f"{client.endpoint.url}/writes", params={"client": client.name}, timeout=30, trust_env=False
        ).raise_for_status()
    except httpx.HTTPError as error:
        raise ScenarioFailed(f"the writes of {client.name} cannot be read at {client.endpoint.url}: {error}") from error
    return {int(n) for n in answer.json()["numbers"]}


def parse_response(answer: bytes) -> tuple[int, Mapping[str, object]]:
    """Status and JSON body; ValueError when the answer was cut short."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    if not separator:
        raise ValueError("no answer" if not answer else "the answer was cut short")
    lines = head.decode("latin-1").splitlines()
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if len(body) != int(headers.get("content-length", "-1")):
        raise ValueError("the answer was cut short")
    found = json.loads(body)
    return int(lines[0].split()[1]), found if isinstance(found, dict) else {}


async def _exchange(endpoint: Endpoint, request: bytes) -> bytes:
    """Over plain sockets, since asyncio's streams take about twice the processor time."""
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, (endpoint.address, endpoint.port))
        await loop.sock_sendall(connection, request)
        chunks = []
        while chunk := await loop.sock_recv(connection, _CHUNK):
            chunks.append(chunk)
        return b"".join(chunks)


def _read(endpoint: Endpoint) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {endpoint.address}\r\nConnection: close\r\n\r\n".encode()


def _write(endpoint: Endpoint, client: str, n: int) -> bytes:
    body = json.dumps({"client": client, "n": n})
    head = f"POST /write HTTP/1.1\r\nHost: {endpoint.address}\r\nConnection: close\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


def _answers(http: httpx.Client) -> bool | None:
    try:
        answer = http.get("/health")
    except httpx.HTTPError:
        return None  # not yet; the wait has a limit
    return True if answer.status_code == 200 else None
