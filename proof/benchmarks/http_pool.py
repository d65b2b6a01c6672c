"""HTTP/1.1 over a few open connections, which thousands of agents share for their heartbeats."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from urllib.parse import urlsplit


class HttpPool:
    """Calls share `connections`. A real agent would have its own."""

    def __init__(self, url: str, connections: int = 8) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._free: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter] | None] = asyncio.LifoQueue()
        for _ in range(connections):
            self._free.put_nowait(None)

    async def post(self, path: str, token: str, body: Mapping[str, object]) -> tuple[int, bytes]:
        """Returns status and body. Raises OSError when there is no answer."""
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        connection = await self._free.get()
        try:
            reader, writer = connection or await asyncio.open_connection(self._host, self._port)
            connection = None  # until its answer has been read
            writer.write(head.encode() + content)
            answer = await _answer(reader)
            connection = reader, writer
            return answer
        except asyncio.IncompleteReadError as error:
            raise ConnectionError("the answer was cut short") from error
        finally:
            self._free.put_nowait(connection)


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    length = next((line[15:] for line in head.split("\r\n") if line.startswith("content-length:")), "0")
    return int(head.split(" ", 2)[1]), await reader.readexactly(int(length))
