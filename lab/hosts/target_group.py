"""A target group and its listener. Connections go round robin to healthy targets; checks go on all the time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from anyio.from_thread import BlockingPortal

from lab.contracts import HealthCheck
from lab.hosts.tcp_forwarder import Backend, TcpForwarder


class Target:
    """initial -> healthy <-> unhealthy, and draining once deregistered."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.state = "initial"
        self.task: asyncio.Task[None] | None = None
        self._passed = 0
        self._failed = 0

    def judge(self, passed: bool, check: HealthCheck) -> None:
        self._passed, self._failed = (self._passed + 1, 0) if passed else (0, self._failed + 1)
        if self._passed >= check.healthy_threshold:
            self.state = "healthy"
        elif self._failed >= check.unhealthy_threshold:
            self.state = "unhealthy"


class TargetGroup:
    """Everything runs in the thread of the portal."""

    def __init__(self) -> None:
        self.check = HealthCheck()
        self.front: TcpForwarder | None = None
        self.targets: dict[str, Target] = {}
        self._turn = 0

    async def open(self, address: str, port: int, check: HealthCheck) -> None:
        self.check = check
        if self.front is not None and (self.front.address, self.front.port) != (address, port):
            self.close()
        if self.front is None:
            self.front = TcpForwarder(address, port, self._in_turn)
        await self.front.listen()

    def close(self) -> None:
        if self.front is not None:
            self.front.close()
            self.front = None

    def register(self, backend: Backend) -> None:
        old = self.targets.get(backend.key)
        if old is not None and old.backend == backend and old.state != "draining":
            return
        if old is not None and old.task is not None:
            old.task.cancel()
        target = Target(backend)
        target.task = asyncio.ensure_future(self._watch(target))
        self.targets[backend.key] = target

    def deregister(self, instance: str, drain_s: float) -> None:
        target = self.targets.get(instance)
        if target is None or target.state == "draining":
            return
        if target.task is not None:
            target.task.cancel()
        target.state = "draining"
        target.task = asyncio.ensure_future(self._drain(target, drain_s))

    async def _watch(self, target: Target) -> None:
        while True:
            target.judge(await _passes(target.backend, self.check), self.check)
            await asyncio.sleep(self.check.interval_s)

    async def _drain(self, target: Target, drain_s: float) -> None:
        key = target.backend.key
        if self.front is not None:
            await self.front.drain(key, drain_s)
        self.targets.pop(key, None)

    def _in_turn(self) -> Iterable[Backend]:
        healthy = [target.backend for target in self.targets.values() if target.state == "healthy"]
        self._turn += 1
        first = self._turn % len(healthy) if healthy else 0
        return healthy[first:] + healthy[:first]


class TargetGroups:
    """All target groups of the lab, called from any thread. A group is made when it is first named."""

    def __init__(self, portal: BlockingPortal) -> None:
        self._portal = portal
        self._groups: dict[str, TargetGroup] = {}

    def open_listener(self, name: str, address: str, port: int, check: HealthCheck) -> None:
        async def work() -> None:
            await self._group(name).open(address, port, check)

        self._portal.call(work)

    def close_listener(self, name: str) -> None:
        async def work() -> None:
            self._group(name).close()

        self._portal.call(work)

    def register(self, name: str, backend: Backend) -> None:
        async def work() -> None:
            self._group(name).register(backend)

        self._portal.call(work)

    def deregister(self, name: str, instance: str, drain_s: float) -> None:
        async def work() -> None:
            self._group(name).deregister(instance, drain_s)

        self._portal.call(work)

    def health(self, name: str) -> Mapping[str, str]:
        async def work() -> Mapping[str, str]:
            group = self._groups.get(name)
            return {key: target.state for key, target in group.targets.items()} if group else {}

        return self._portal.call(work)

    def truth(self) -> Mapping[str, object]:
        async def work() -> Mapping[str, object]:
            return {name: _describe(group) for name, group in self._groups.items()}

        return self._portal.call(work)

    def _group(self, name: str) -> TargetGroup:
        return self._groups.setdefault(name, TargetGroup())


def _describe(group: TargetGroup) -> Mapping[str, object]:
    front = group.front
    targets = {key: target.state for key, target in group.targets.items()}
    return {"address": front.address if front else None, "port": front.port if front else None, "targets": targets}


async def _passes(backend: Backend, check: HealthCheck) -> bool:
    try:
        async with asyncio.timeout(check.timeout_s):
            reader, writer = await asyncio.open_connection(backend.address, backend.port)
            try:
                return not check.path or await _status(reader, writer, check.path) in range(200, 400)
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError, IndexError):
        return False


async def _status(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> int:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: target\r\nConnection: close\r\n\r\n".encode())
    line = await reader.readline()
    return int(line.split()[1])
