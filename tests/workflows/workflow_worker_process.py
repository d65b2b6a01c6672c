"""A process that takes up workflows and no activities, to be killed. Its argument is Temporal's address.

It says `ready` when it has loaded everything, and begins when it reads a line.
"""

from __future__ import annotations

import asyncio
import sys

from temporalio.client import Client

from domain.names import CONTROL_QUEUE
from worker import make_worker


async def main(address: str) -> None:
    client = await Client.connect(address)
    print("ready", flush=True)  # noqa: T201  to the test that started it
    await asyncio.to_thread(sys.stdin.readline)
    await make_worker(client, CONTROL_QUEUE, [], 1).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
