"""Host watches: how a server hears of AWS's notices from its agents.

A watch is a long-running activity on the instance's own queue. It ends with the notice. It needs neither the API nor
the database, so it works while they are down. When its heartbeat stops, or no agent takes it, EC2 is asked whether the
instance is still there. A host whose agent takes no watch is named in the workflow's memo, where reconciliation finds
it: the same agent may well report to the API that it is alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from temporalio import workflow
from temporalio.exceptions import ActivityError, TimeoutError, TimeoutType

from domain import ec2
from domain.errors import Failure
from domain.host import HOST_INVENTORY, HOST_WATCH, Inventory, InventoryRequest, Notice, WatchRequest
from domain.reconciliation.unattended_servers import MEMO_UNWATCHED
from domain.servers import Placement, ServerShape
from workflows import timeouts
from workflows.activity_calls import execute, execute_on_host, failure_of
from workflows.server.state import ServerState

_NOTICES_SENT = 20  # the latest that a host need not tell again
_PAUSE_S = (1.0, 5.0, 15.0, 60.0)
# EC2 took the instance back: reported as NoCapacity, because most who ask are waiting for a launch.
_NOT_RUNNING = frozenset({Failure.BAD_STATE, Failure.GONE, Failure.NO_CAPACITY})


class UnwatchedHosts:
    """The hosts of a server whose agents take no watch, kept as the memo of its workflow, which any list shows."""

    def __contains__(self, instance_id: str) -> bool:
        return instance_id in self._read_memo()

    def add(self, instance_id: str) -> None:
        self._write_memo(self._read_memo() | {instance_id})

    def discard(self, instance_id: str) -> None:
        self._write_memo(self._read_memo() - {instance_id})

    def keep(self, instance_ids: Iterable[str]) -> None:
        self._write_memo(self._read_memo() & set(instance_ids))

    def _read_memo(self) -> set[str]:
        memo: list[str] | None = workflow.memo_value(MEMO_UNWATCHED, None)
        return set(memo or ())

    def _write_memo(self, wanted: set[str]) -> None:
        if wanted != self._read_memo():
            workflow.upsert_memo({MEMO_UNWATCHED: sorted(wanted) or None})


class HostWatches:
    """One watch for each instance of the server's shape. It calls `on_notice` and `on_lost` with what it finds."""

    def __init__(
        self, state: ServerState, *, on_notice: Callable[[Notice], None], on_lost: Callable[[Placement], None]
    ) -> None:
        self._state = state
        self._on_notice = on_notice
        self._on_lost = on_lost
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._unwatched = UnwatchedHosts()

    def follow(self, shape: ServerShape) -> None:
        """Watch exactly the instances of this shape."""
        wanted = {p.instance_id: p for p in (shape.primary, shape.replica) if p}
        for instance_id in [one for one in self._tasks if one not in wanted]:
            self._tasks.pop(instance_id).cancel()
        self._unwatched.keep(wanted)
        for instance_id, placement in wanted.items():
            if instance_id not in self._tasks:
                self._tasks[instance_id] = asyncio.create_task(self._watch(placement))

    async def stop(self) -> None:
        """Returns when no watch can add a command any more: the command that ends a run must be its last."""
        tasks = list(self._tasks.values())
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self, placement: Placement) -> None:
        failures = 0
        # The agent may have died under the last watch when nobody missed its heartbeat any more: EC2 is asked as soon
        # as if it had been missed. How long that takes is no part of the history, and decides nothing in a replay.
        not_picked_up = False
        while True:
            pickup_s = timeouts.watch_pickup_s(patient=not_picked_up)
            trial = placement.instance_id in self._unwatched
            try:
                await self._learn_filesystems(placement, pickup_s)
                self._on_notice(await self._ask(placement, trial, pickup_s))
                self._unwatched.discard(placement.instance_id)
                failures, not_picked_up = 0, False
            except ActivityError as error:
                ran_out = _timeout_type(error)
                if trial and ran_out is TimeoutType.START_TO_CLOSE:
                    self._unwatched.discard(placement.instance_id)
                    failures, not_picked_up = 0, False
                    continue
                if await self._is_gone(placement):
                    self._on_lost(placement)
                    return
                again, not_picked_up = not_picked_up, ran_out is TimeoutType.SCHEDULE_TO_START
                if not_picked_up and again:
                    self._unwatched.add(placement.instance_id)
                await workflow.sleep(_PAUSE_S[min(failures, len(_PAUSE_S) - 1)])
                failures += 1

    async def _ask(self, placement: Placement, trial: bool, pickup_s: float) -> Notice:
        request = WatchRequest(self._state.latest_notices(_NOTICES_SENT), timeouts.WATCH_PACE.interval_s)
        limits = timeouts.watch(pickup_s, trial=trial)
        return await execute_on_host(placement.instance_id, HOST_WATCH, request, Notice, limits)

    async def _learn_filesystems(self, placement: Placement, pickup_s: float) -> None:
        """Ask before it is needed: a dead host cannot say what it had mounted."""
        if not self._state.lacks_filesystems(placement.instance_id):
            return
        request, limits = InventoryRequest("watch"), timeouts.inventory(pickup_s)
        inventory = await execute_on_host(placement.instance_id, HOST_INVENTORY, request, Inventory, limits)
        self._state.learn_filesystems(inventory.filesystems)

    async def _is_gone(self, placement: Placement) -> bool:
        """EC2 decides whether an instance is lost. The agent's silence does not."""
        where = ec2.InstanceInput(self._state.server.region, placement.instance_id)
        try:
            await execute(ec2.CONFIRM_RUNNING, where, ec2.ConfirmResult, timeouts.STILL_THERE)
        except ActivityError as error:
            return failure_of(error) in _NOT_RUNNING
        return False


def _timeout_type(error: ActivityError) -> TimeoutType | None:
    return error.cause.type if isinstance(error.cause, TimeoutError) else None
