"""The activities of EC2, of the hosts and of the records, played by one fake cloud in memory.

Each call is kept in `calls` as "activity subject", may meet a fault, and lets a moment of the world pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, get_type_hints

from temporalio import activity

from domain import ec2, host, records
from domain.errors import Failure
from domain.servers import Handoff, ServerPolicy
from tests.workflows.fake_ec2 import EC2_PLAYED, FakeEc2, failed, now
from tests.workflows.fake_scheduled import SCHEDULED_PLAYED, FakeScheduled
from tests.workflows.faults import Fault


@dataclass(frozen=True)
class Call:
    name: str
    subject: str
    queue: str
    argument: Any

    def __str__(self) -> str:
        return f"{self.name.removeprefix('ec2_')} {self.subject}".strip()


class FakeCloud(FakeEc2, FakeScheduled):
    def __init__(self, handoff: Handoff, *, targets: bool = False, elastic: bool = False) -> None:
        FakeEc2.__init__(self, handoff, targets=targets, elastic=elastic)
        FakeScheduled.__init__(self, handoff, self.ec2_state)
        self.server_id = ""  # whose cloud it is; empty: anybody's
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.cool_downs: dict[str, float] = {}
        self.mute: set[str] = set()  # hosts whose agent does not answer
        self.heard: dict[str, asyncio.Queue[host.Notice]] = {}  # what IMDS says there; absent: no watch
        self.boards: dict[str, list[host.Notice]] = {}  # what was said there already
        self.changed = asyncio.Event()
        self._turns: dict[str, int] = {}

    def fault(self, fault: Fault) -> Fault:
        self.faults.append(fault)
        return fault

    # --- what was called

    @property
    def story(self) -> list[str]:
        """Calls that change something, in order, each once."""
        told: list[str] = []
        for call in self.calls:
            if call.name in _CHANGES and str(call) not in told[-1:]:
                told.append(str(call))
        return told

    def called(self, name: str, subject: str = "") -> list[Call]:
        return [call for call in self.calls if call.name == name and subject in ("", call.subject)]

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    # --- one activity

    async def play(self, name: str, argument: Any) -> Any:
        self.ec2_state.tick()
        subject = _subject(argument)
        if name not in (records.RECORD, records.COOL_DOWNS):
            self.calls.append(Call(name, subject, activity.info().task_queue, argument))
        self.changed.set()
        newest = self._turns[subject] = self._turns.get(subject, 0) + (name in _EXCLUSIVE)
        fault = next((one for one in self.faults if one.takes(name, argument)), None)
        if fault is None:
            return self._act(name, argument)
        await fault.meanwhile()
        if name in _EXCLUSIVE and self._turns[subject] > newest:
            raise failed("StopRequested", "a newer request came: the agent does the newest")
        if not fault.failure:
            return self._act(name, argument)
        if fault.did_it:
            self._act(name, argument)
        raise fault.error()

    def _act(self, name: str, argument: Any) -> Any:
        answer = _PLAYED[name](self, argument)
        self.ec2_state.tick()
        self.changed.set()
        return answer

    # --- hosts

    def host_ready(self, given: host.ReadyRequest) -> host.ReadyReport:
        one = self._here()
        if given.check_health and not one.serving:
            raise failed(Failure.HOST_FAILED, "the health hook fails")
        return host.ReadyReport(one.instance_id, "1", now())

    def host_inventory(self, given: host.InventoryRequest) -> host.Inventory:
        one = self._here()
        return host.Inventory(one.instance_id, self.ec2_state.filesystems if one.mounted else [])

    def host_quiesce(self, given: host.QuiesceRequest) -> host.QuiesceReport:
        one = self._here()
        one.serving = one.mounted = False
        return host.QuiesceReport(one.instance_id, now(), given.filesystems)

    def host_resume(self, given: host.ServeRequest) -> host.ServeReport:
        one = self._here()
        if given.filesystems and not self.ec2_state.attached(one.instance_id, data=True):
            raise failed(Failure.HOST_FAILED, "its filesystem is not there")
        self.ec2_state.start_workload(one)
        return host.ServeReport(one.instance_id, now(), given.filesystems)

    async def host_watch(self, given: host.WatchRequest) -> host.Notice:
        """As an agent does it: every watch gets the news, also when an earlier watch that nobody waits for got it."""
        instance_id = activity.info().task_queue.removeprefix("instance.")
        if instance_id not in self.heard:
            raise failed(Failure.GONE, "nobody watches here")
        board = self.boards.setdefault(instance_id, [])
        while True:
            if news := [one for one in board if one.notice_id not in given.known]:
                return news[0]
            with suppress(TimeoutError):
                board.append(await asyncio.wait_for(self.heard[instance_id].get(), 0.2))

    # --- records

    def record(self, given: records.RecordBatch) -> int:
        if self.server_id not in ("", given.server_id):
            raise failed(Failure.GONE, "a word of the test before, whose workflows have just been ended")
        return self.records.apply(given)

    def resting(self, given: records.CoolDownsInput) -> records.CoolDowns:
        return records.CoolDowns(self.cool_downs)

    def _here(self) -> Any:
        instance_id = activity.info().task_queue.removeprefix("instance.")
        one = self.ec2_state.instances.get(instance_id)
        if one is None or not one.alive or instance_id in self.mute:
            raise failed("AgentSilent", f"no agent answers on {instance_id}")
        return one


def _subject(argument: Any) -> str:
    if where := getattr(argument, "instance_id", ""):
        return str(where)
    if pool := getattr(argument, "pool", ""):
        return str(pool)
    queue = activity.info().task_queue
    return queue.removeprefix("instance.") if queue.startswith("instance.") else ""


_PLAYED: dict[str, Callable[[FakeCloud, Any], Any]] = {
    **EC2_PLAYED,
    **SCHEDULED_PLAYED,
    host.HOST_READY: FakeCloud.host_ready,
    host.HOST_INVENTORY: FakeCloud.host_inventory,
    host.HOST_QUIESCE: FakeCloud.host_quiesce,
    host.HOST_SERVE: FakeCloud.host_resume,
    records.RECORD: FakeCloud.record,
    records.COOL_DOWNS: FakeCloud.resting,
}
_EXCLUSIVE = frozenset({host.HOST_QUIESCE, host.HOST_SERVE})
_CHANGES = frozenset(
    {
        ec2.LAUNCH,
        ec2.TERMINATE,
        ec2.DETACH_VOLUMES,
        ec2.ATTACH_VOLUMES,
        ec2.CREATE_SNAPSHOTS,
        ec2.CREATE_VOLUMES,
        ec2.DELETE_VOLUMES,
        ec2.DELETE_SNAPSHOTS,
        ec2.MOVE_ADDRESSES,
        ec2.REGISTER_TARGETS,
        ec2.DEREGISTER_TARGETS,
        host.HOST_READY,
        host.HOST_QUIESCE,
        host.HOST_SERVE,
    }
)


class FakeActivities:
    """Which cloud the session's workers play just now."""

    def __init__(self) -> None:
        self.cloud = FakeCloud(ServerPolicy().handoff)

    def control(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [self._activity(name) for name in _PLAYED if not name.startswith(("host_", "webhooks_"))]

    def webhooks(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [self._activity(name) for name in _PLAYED if name.startswith("webhooks_")]

    def agent(self) -> Sequence[Callable[..., Awaitable[Any]]]:
        return [*(self._activity(name) for name in _PLAYED if name.startswith("host_")), self._watch()]

    def _activity(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def played(given: Any) -> Any:
            return await self.cloud.play(name, given)

        played.__annotations__["given"] = get_type_hints(_PLAYED[name])["given"]
        return activity.defn(name=name)(played)

    def _watch(self) -> Callable[..., Awaitable[Any]]:
        async def watched(given: host.WatchRequest) -> host.Notice:
            return await self.cloud.host_watch(given)

        return activity.defn(name=host.HOST_WATCH)(watched)
