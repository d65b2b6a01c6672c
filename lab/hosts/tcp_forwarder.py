"""A listening address whose connections are forwarded to a backend, byte for byte.

Everything here runs in the thread of the portal. asyncio sets TCP_NODELAY on both sides by itself.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass

CHUNK = 65536
CONNECT_TIMEOUT_S = 2.0
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Backend:
    """Where a connection may go. `key` names it when its connections are to be closed."""

    key: str
    address: str
    port: int


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class TcpForwarder:
    """`choose` is called for each new connection. It gives the backends in the order in which to try them."""

    def __init__(self, address: str, port: int, choose: Callable[[], Iterable[Backend]]) -> None:
        self.address = address
        self.port = port
        self._choose = choose
        self._server: asyncio.Server | None = None
        self._open: dict[str, set[asyncio.Task[None]]] = {}

    async def listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accepted, self.address, self.port, backlog=1024)

    def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def cut(self, key: str) -> None:
        """Close the connections to one backend."""
        for task in self._open.get(key, set()):
            task.cancel()

    async def drain(self, key: str, seconds: float) -> None:
        """Give the connections to a backend this much time to end, then close them."""
        tasks = set(self._open.get(key, ()))
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        self.cut(key)

    def close(self) -> None:
        self.stop_listening()
        for key in self._open:
            self.cut(key)

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._serve((reader, writer)))
        task.add_done_callback(_seen)

    async def _serve(self, client: Stream) -> None:
        for backend in self._choose():
            task = asyncio.current_task()
            assert task is not None
            tasks = self._open.setdefault(backend.key, set())
            tasks.add(task)
            try:
                upstream = await _connect(backend)
                if upstream is not None:
                    await _carry(client, upstream)
                    return
            except asyncio.CancelledError:
                _reset(client[1])
                raise
            finally:
                tasks.discard(task)
        _reset(client[1])  # what a client of an address without a service would see


async def _connect(backend: Backend) -> Stream | None:
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(backend.address, backend.port)
    except (OSError, TimeoutError):
        return None


async def _carry(client: Stream, upstream: Stream) -> None:
    """Forward both ways until both have ended. One side may close its half and still receive."""
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(client[0], upstream[1]))
            both.create_task(_pump(upstream[0], client[1]))
    except* OSError:
        _reset(client[1])
        _reset(upstream[1])
    finally:
        for writer in (client[1], upstream[1]):
            writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(CHUNK):
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Send RST instead of FIN, so that nobody takes a cut connection for a complete answer."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):  # the peer has closed it already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    writer.transport.abort()


def _seen(task: asyncio.Task[None]) -> None:
    """A cut connection is no error; anything else is, and asyncio reports it."""
    if not task.cancelled():
        task.result()
