"""`python -m lab.stack.tcp_proxy PORT HOST TO_PORT`: a proxy to a database server that is not ours. It can be cut.

It listens on 127.0.0.1:PORT and carries bytes to and from HOST:TO_PORT. Killing it looks to
its clients like the server's death: open connections end, new ones are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence

_CHUNK = 65536


async def serve(port: int, host: str, to_port: int) -> None:
    """Until SIGTERM."""
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(host, to_port)
        except OSError:
            writer.transport.abort()  # the server refuses, so the proxy does
            return
        await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

    await asyncio.start_server(carry, "127.0.0.1", port)
    await ended.wait()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until one end closes, then close the other."""
    with contextlib.suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()


def main(arguments: Sequence[str]) -> None:
    port, host, to_port = arguments
    asyncio.run(serve(int(port), host, int(to_port)))


if __name__ == "__main__":
    main(sys.argv[1:])
