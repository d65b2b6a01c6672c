"""A proxy between the worker and its database. It holds the nth COMMIT of a write, or the answer to it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

from anyio.from_thread import BlockingPortal
from sqlalchemy import make_url

_QUERY = 3  # COM_QUERY, MySQL's client protocol
_HEADER = 4  # three bytes of length, one that counts the packets of a command
_WRITES = (b"INSERT", b"UPDATE", b"DELETE", b"REPLACE")
_CHUNK = 65536


class SqlProxy:
    """Listens on a port of 127.0.0.1. `commits`: how many writes have committed since the last `arm` or `count`."""

    def __init__(self, portal: BlockingPortal, database_url: str, port: int) -> None:
        self._url = make_url(database_url)
        self._port = port
        self._portal = portal
        self._lock = threading.Lock()
        self._nth, self._when = 0, ""
        self.commits = 0
        self._held = threading.Event()
        self._released: asyncio.Event | None = None
        self._server = portal.call(self._listen)

    @property
    def url(self) -> str:
        """The database's URL through the proxy."""
        return self._url.set(host="127.0.0.1", port=self._port).render_as_string(hide_password=False)

    @property
    def held(self) -> bool:
        return self._held.is_set()

    def count(self) -> None:
        self.arm(0, "")

    def arm(self, nth: int, when: str) -> None:
        """Hold the nth COMMIT from now on: `before` it reaches the database, or `after` it is done."""
        with self._lock:
            self._nth, self._when, self.commits = nth, when, 0
            self._held.clear()

    def release(self) -> None:
        """Drop what is held, together with its connection."""
        self._portal.call(self._let_go)

    def close(self) -> None:
        self.release()
        self._server.close()

    async def _listen(self) -> asyncio.Server:
        self._released = asyncio.Event()
        return await asyncio.start_server(self._connected, "127.0.0.1", self._port)

    async def _let_go(self) -> None:
        assert self._released is not None, "made when it began to listen"
        self._released.set()
        self._released = asyncio.Event()
        self.count()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up = await asyncio.open_connection(self._url.host, self._url.port or 3306)
        except OSError:
            writer.close()
            return
        muted = asyncio.Event()
        pumps = [
            asyncio.ensure_future(self._queries(reader, up[1], muted)),
            asyncio.ensure_future(self._answers(up[0], writer, muted)),
        ]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, up[1]):
            end.close()

    async def _queries(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event) -> None:
        wrote = False  # a COMMIT without a write does not count; every connection sends one
        with suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = await reader.readexactly(_HEADER)
                body = await reader.readexactly(int.from_bytes(head[:3], "little"))
                words = _statement(head, body)
                when = self._met() if wrote and words == b"COMMIT" else ""
                wrote = words.startswith(_WRITES) or (wrote and words not in (b"COMMIT", b"ROLLBACK"))
                if when == "before":
                    await self._hold()
                    return
                if when == "after":
                    muted.set()
                writer.write(head + body)
                await writer.drain()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, muted: asyncio.Event) -> None:
        with suppress(OSError):
            while answer := await reader.read(_CHUNK):
                if muted.is_set():
                    await self._hold()
                    return
                writer.write(answer)
                await writer.drain()

    def _met(self) -> str:
        """`before` or `after` when this COMMIT is the one to hold, else empty."""
        with self._lock:
            self.commits += 1
            return self._when if self.commits == self._nth else ""

    async def _hold(self) -> None:
        assert self._released is not None, "made when it began to listen"
        released = self._released
        self._held.set()
        await released.wait()


def _statement(head: Sequence[int], body: bytes) -> bytes:
    """The beginning of the packet's statement, in capitals; empty when it has none."""
    if head[3] != 0 or body[:1] != bytes([_QUERY]):
        return b""
    return body[1:60].strip().upper()
