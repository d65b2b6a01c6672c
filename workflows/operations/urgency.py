"""How urgent an operation is, and whether it has to stop. Both change by what it hears while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

from temporalio import workflow
from temporalio.exceptions import FailureError

T = TypeVar("T")


class OperationAborted(Exception):
    """The operation was asked to stop before its commit. `by_notice`: its replacement is doomed."""

    def __init__(self, reason: str, by_notice: bool = False) -> None:
        super().__init__(reason)
        self.by_notice = by_notice


class Urgency:
    def __init__(self) -> None:
        self._emergency = False
        self._doomed = False
        self._deadline: datetime | None = None
        self._abort: OperationAborted | None = None
        self._committed = False
        self._keeping_cut_short = False

    @property
    def emergency(self) -> bool:
        """The operation is a rescue: it uses the emergency queue, and waits for nothing that it can do without."""
        return self._emergency

    def begin_emergency(self) -> None:
        self._emergency = True

    # --- the old instance

    @property
    def doomed(self) -> bool:
        """The old instance is going away, whatever we do."""
        return self._doomed

    def doom_old(self, deadline: datetime | None = None) -> None:
        self._doomed = True
        self._deadline = deadline or self._deadline

    def seconds_left(self, reserve_s: float = 0.0) -> float | None:
        """Until the notice's deadline, less a reserve; None without a deadline."""
        if self._deadline is None:
            return None
        return max(0.0, (self._deadline - workflow.now()).total_seconds() - reserve_s)

    @property
    def keeping_cut_short(self) -> bool:
        """Something else waits: the old instance is not kept any longer."""
        return self._keeping_cut_short

    def stop_keeping_old(self) -> None:
        self._keeping_cut_short = True

    # --- forward only, or stop

    @property
    def committed(self) -> bool:
        return self._committed

    def commit(self) -> None:
        self._committed = True

    @property
    def aborted(self) -> bool:
        return self._abort is not None

    def abort(self, reason: str) -> None:
        """Stop before the commit, for the first reason given; past the commit this changes nothing."""
        self._stop(OperationAborted(reason))

    def abort_by_notice(self, reason: str) -> None:
        """The same, because the replacement is doomed: a failover then takes another one."""
        self._stop(OperationAborted(reason, by_notice=True))

    def _stop(self, why: OperationAborted) -> None:
        if not self._committed:
            self._abort = self._abort or why

    def clear_abort(self) -> None:
        """A failover goes on with another replacement when its first one is doomed."""
        self._abort = None

    async def unless_aborted(self, work: Awaitable[T]) -> T:
        """The work's result. It is cancelled, and waited for, when the operation is aborted meanwhile."""
        if self._committed:
            return await work
        task = asyncio.ensure_future(work)
        await workflow.wait_condition(lambda: task.done() or self._abort is not None)
        if self._abort is None or task.done():
            return await task
        task.cancel()
        with suppress(asyncio.CancelledError, FailureError):  # either is the cancellation just asked for
            await task
        raise self._abort


def stop_if_cancelled() -> None:
    """Stop here when the step was given up during a call that is not broken off."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
