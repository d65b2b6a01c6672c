"""Many readers of the event stream in one process: `python -m proof.benchmarks.stream_readers TOKEN COUNT URL ...`.

They share the URLs evenly. `ready` is printed once all of them are subscribed. Then standard input gives the number
of the last event. Once every reader has it, or after a minute, each prints a line of JSON: its events as
`[seq, epoch seconds]`, in the order in which they came.
"""

from __future__ import annotations

import asyncio
import json
import re
import resource
import sys
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

_ID = re.compile(rb"^id: ?(\d+)\r?$", re.MULTILINE)
_CHUNK = 65536
_FEW = 10
_SUBSCRIBED = b"retry:"
CONNECT_AT_ONCE = 50
LAST_EVENT_S = 60.0


class EventReader:
    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._request = (
            f"GET /api/events/stream HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        self.seen: list[tuple[int, float]] = []
        self.subscribed = asyncio.Event()

    def has(self, seq: int) -> bool:
        return bool(self.seen) and max(number for number, _ in self.seen[-_FEW:]) >= seq

    async def run(self, turns: asyncio.Semaphore) -> None:
        async with turns:
            reader, writer = await asyncio.open_connection(self._host, self._port)
            writer.write(self._request)
            head = await reader.readuntil(_SUBSCRIBED)
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(head[:300].decode(errors="replace"))
            self.subscribed.set()
        rest = b""
        while chunk := await reader.read(_CHUNK):
            now = time.time()
            whole, _, rest = (rest + chunk).rpartition(b"\n")
            self.seen += [(int(found), now) for found in _ID.findall(whole)]
        raise RuntimeError("a stream was cut off")


async def main(token: str, count: int, urls: Sequence[str]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, count + 100)), hard))
    turns = asyncio.Semaphore(CONNECT_AT_ONCE)
    readers = [EventReader(urls[n % len(urls)], token) for n in range(count)]
    running = [asyncio.ensure_future(one.run(turns)) for one in readers]
    while not all(one.subscribed.is_set() for one in readers):
        _raise_what_failed(running)
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    last = int(await asyncio.to_thread(sys.stdin.read))
    ends = time.monotonic() + LAST_EVENT_S
    while not all(one.has(last) for one in readers) and time.monotonic() < ends:
        _raise_what_failed(running)
        await asyncio.sleep(0.05)
    _raise_what_failed(running)
    for one in readers:
        print(json.dumps(one.seen), flush=True)
    for task in running:
        task.cancel()


def _raise_what_failed(running: Sequence[asyncio.Future[None]]) -> None:
    for task in running:
        if task.done():
            task.result()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
