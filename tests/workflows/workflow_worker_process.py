"""A process that takes up workflows and no activities, to be killed. Its argument is Temporal's address."""

from __future__ import annotations

import asyncio
import sys

from temporalio.client import Client

from domain.names import CONTROL_QUEUE
from worker import make_worker


async def main(address: str) -> None:
    await make_worker(await Client.connect(address), CONTROL_QUEUE, [], 1).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
