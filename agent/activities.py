"""The host's verbs as Temporal activities, by the names in `domain.host`.

Each runs its blocking work in a thread and heartbeats from the event loop meanwhile, so that the control plane notices
within seconds when this agent has died. A failure of the host is final (`HostFailed`, with the hooks that ran as its
first detail): the workflow decides whether to try again. An agent that ends says so at once, and the activity is tried
again on its successor.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent.deadline import Deadline, HostError, StopRequested
from agent.host import INVENTORY_S, Host
from agent.notice_board import NoticeBoard
from domain import host as contract
from domain.errors import Failure

log = logging.getLogger(__name__)

BEAT_S = 1.0
STOP_WAIT_S = 0.5
MARGIN_S = 0.3  # to report within the activity's own deadline
T = TypeVar("T")


class HostActivities:
    def __init__(self, host: Host, board: NoticeBoard, pool: ThreadPoolExecutor) -> None:
        self._host = host
        self._board = board
        self._pool = pool

    def all(self) -> list[Callable[..., Any]]:
        return [self.host_ready, self.host_inventory, self.host_quiesce, self.host_resume, self.host_watch]

    @activity.defn(name=contract.HOST_READY)
    async def host_ready(self, request: contract.ReadyRequest) -> contract.ReadyReport:
        return await self._run_in_thread(request.hook_timeout_s, lambda deadline: self._host.ready(request, deadline))

    @activity.defn(name=contract.HOST_INVENTORY)
    async def host_inventory(self, request: contract.InventoryRequest) -> contract.Inventory:
        return await self._run_in_thread(INVENTORY_S, lambda deadline: self._host.inventory(request, deadline))

    @activity.defn(name=contract.HOST_QUIESCE)
    async def host_quiesce(self, request: contract.QuiesceRequest) -> contract.QuiesceReport:
        return await self._run_in_thread(request.timeout_s, lambda deadline: self._host.quiesce(request, deadline))

    @activity.defn(name=contract.HOST_SERVE)
    async def host_resume(self, request: contract.ServeRequest) -> contract.ServeReport:
        timeout_s = request.timeout_s + request.health_timeout_s
        return await self._run_in_thread(timeout_s, lambda deadline: self._host.resume(request, deadline))

    @activity.defn(name=contract.HOST_WATCH)
    async def host_watch(self, request: contract.WatchRequest) -> contract.Notice:
        """Return the first notice not in `known`, the moment it is seen."""
        loop, news = asyncio.get_running_loop(), asyncio.Event()

        def wake(_: contract.Notice) -> None:
            loop.call_soon_threadsafe(news.set)

        self._board.listen(wake)
        try:
            while (notice := self._board.first_not_in(request.known)) is None:
                activity.heartbeat()
                await _wait_for(news, request.beat_s)
            return notice
        except asyncio.CancelledError:
            _retry_on_successor()
            raise
        finally:
            self._board.unlisten(wake)

    async def _run_in_thread(self, timeout_s: float, work: Callable[[Deadline], T]) -> T:
        deadline = Deadline.after(_allowed_s(timeout_s))
        running = asyncio.get_running_loop().run_in_executor(self._pool, work, deadline)
        try:
            while not running.done():
                activity.heartbeat()
                await asyncio.wait({running}, timeout=BEAT_S)
            return running.result()
        except asyncio.CancelledError:
            deadline.stop.set()
            await asyncio.wait({running}, timeout=STOP_WAIT_S)
            running.add_done_callback(_discard_result)
            _retry_on_successor()
            raise
        except HostError as error:
            _fail(error)
        except StopRequested:
            raise ApplicationError("a newer request has taken this one's place", type=Failure.NOT_YET) from None


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
    event.clear()


def _allowed_s(asked: float) -> float:
    """The seconds asked for, cut to what the activity's own timeouts leave. Both times are the server's."""
    info = activity.info()
    limits = [asked]
    if info.start_to_close_timeout:
        limits.append(info.start_to_close_timeout.total_seconds() - MARGIN_S)
    if info.schedule_to_close_timeout:
        spent = info.started_time - info.scheduled_time
        limits.append((info.schedule_to_close_timeout - spent).total_seconds() - MARGIN_S)
    return max(0.0, min(limits))


def _fail(error: HostError) -> NoReturn:
    info = activity.info()
    fields = {"activity": info.activity_type, "workflow_id": info.workflow_id, "attempt": info.attempt}
    log.warning("%s", error, extra=fields)
    raise ApplicationError(str(error)[:1500], error.hooks, type=Failure.HOST_FAILED, non_retryable=True) from None


def _retry_on_successor() -> None:
    """When this worker ends, and nobody asked for the cancellation: another attempt shall do it soon."""
    if activity.is_worker_shutdown():
        delay = timedelta(seconds=0.2)
        raise ApplicationError("the agent is ending", type=Failure.NOT_YET, next_retry_delay=delay) from None


def _discard_result(running: asyncio.Future[Any]) -> None:
    """Nobody reads the result any more. Asking for it keeps asyncio from logging an error."""
    if not running.cancelled():
        running.exception()
