"""The Temporal worker of this host, made anew after each failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker

from agent.http_call import Backoff
from agent.temporal_addresses import Address, TemporalAddresses
from agent.temporal_client import connect, open_runtime, renew
from domain.names import instance_queue

log = logging.getLogger(__name__)

SLOTS = 8  # a watch holds one for as long as the server lives
POLLS = 2  # one is always waiting while the other brings its task in
SHUTDOWN_S = 0.8


class WorkerLoop:
    """Serves the instance's own queue. Lives in one event loop; `learn` may be called from any thread."""

    def __init__(
        self, instance_id: str, activities: Sequence[Callable[..., Any]], addresses: TemporalAddresses
    ) -> None:
        self._instance_id = instance_id
        self._activities = activities
        self._addresses = addresses
        self._runtime = open_runtime()
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._stopping = asyncio.Event()
        self._client: Client | None = None
        self._token = ""

    def learn(self, token: str) -> None:
        """There is a new token, or another address."""
        self._loop.call_soon_threadsafe(self._take, token)

    def stop(self) -> None:
        self._stopping.set()
        self._news.set()

    async def run(self) -> None:
        backoff, failures = Backoff(0.1, 5.0), 0
        while not self._stopping.is_set():
            self._news.clear()
            address = self._addresses.pick(failures)
            if address is None:
                await self._news.wait()
                continue
            try:
                await self._serve(address)
                failures = 0
                backoff.reset()
            except Exception as error:  # whatever it was, the only cure is another try
                failures += 1
                await self._complain(address, error, backoff.next())

    async def _serve(self, address: Address) -> None:
        """Connect and work until told to stop or to move. Raises what ended the worker."""
        self._client = await connect(address.host, address.namespace, self._token, self._instance_id, self._runtime)
        worker = self._build(self._client)
        running = asyncio.create_task(worker.run())
        fields = {"temporal": address.host, "namespace": address.namespace, "queue": worker.task_queue}
        log.info("polling", extra=fields)
        try:
            await self._until_over(running, address)
        finally:
            self._client = None
            if not running.done():
                await asyncio.wait_for(worker.shutdown(), SHUTDOWN_S)
        if running.done():
            running.result()

    async def _until_over(self, running: asyncio.Task[None], address: Address) -> None:
        while not running.done() and not self._stopping.is_set() and not self._addresses.moved_from(address):
            self._news.clear()
            waiting = asyncio.create_task(self._news.wait())
            await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()

    def _build(self, client: Client) -> Worker:
        return Worker(
            client,
            task_queue=instance_queue(self._instance_id),
            activities=self._activities,
            identity=self._instance_id,
            max_concurrent_activities=SLOTS,
            activity_task_poller_behavior=PollerBehaviorSimpleMaximum(POLLS),
            max_heartbeat_throttle_interval=timedelta(seconds=1),
            default_heartbeat_throttle_interval=timedelta(seconds=1),
            graceful_shutdown_timeout=timedelta(0),
        )

    def _take(self, token: str) -> None:
        if token and token != self._token:
            self._token = token
            if self._client is not None:
                renew(self._client, token)
        self._news.set()

    async def _complain(self, address: Address, error: Exception, delay: float) -> None:
        fields = {"temporal": address.host, "namespace": address.namespace, "retry_in_s": round(delay, 2)}
        log.warning("no work from Temporal: %s", error or type(error).__name__, extra=fields)
        try:
            await asyncio.wait_for(self._news.wait(), delay)
        except TimeoutError:
            return
