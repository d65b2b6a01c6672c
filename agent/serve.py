"""The agent's event loop: it runs the Temporal worker from when the instance is known until SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor

from agent.activities import HostActivities
from agent.agent import Agent
from agent.worker_loop import SLOTS, WorkerLoop


async def serve(agent: Agent) -> None:
    """Return soon after SIGTERM or SIGINT."""
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    working = asyncio.create_task(_work(agent, asked_to_stop))
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    agent.stopped.set()
    if stopping.done():
        await asyncio.wait({working}, timeout=1.0)
    else:
        working.result()


async def _work(agent: Agent, asked_to_stop: asyncio.Event) -> None:
    identity = await asyncio.wrap_future(agent.identity)
    pool = ThreadPoolExecutor(SLOTS, thread_name_prefix="host")
    activities = HostActivities(agent.host(identity.instance_id), agent.board, pool)
    loop = WorkerLoop(identity.instance_id, activities.all(), agent.addresses)
    agent.on_change = lambda: loop.learn(agent.token)
    agent.on_change()  # what was learned before somebody listened
    working = asyncio.create_task(loop.run())
    stopping = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    loop.stop()
    await working
