"""One agent without a host, as the control plane sees it: it polls its queue, answers, and sends heartbeats.

It uses Temporal's API directly, since SDK workers for ten thousand instances would need more memory than
everything else. A host's work (mounts, hooks, boots) takes no time here, and is not measured.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio.api.common.v1 import Payloads
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice import v1 as calls
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from domain import host as contract
from domain.names import instance_queue

_POLL = timedelta(seconds=70)  # the server answers a poll without a task after 60
_CALL = timedelta(seconds=10)
_VERSION = "bench"
_REQUESTS: Mapping[str, type[Any]] = {
    contract.HOST_READY: contract.ReadyRequest,
    contract.HOST_INVENTORY: contract.InventoryRequest,
    contract.HOST_QUIESCE: contract.QuiesceRequest,
    contract.HOST_SERVE: contract.ServeRequest,
}


class SimulatedAgent:
    def __init__(self, client: Client, instance_id: str) -> None:
        self.instance_id = instance_id
        self.volumes: dict[str, str] = {}  # plugged: volume -> device
        self.watching = False
        self._client = client
        self._notice: contract.Notice | None = None
        self._noticed = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    def give_notice(self, action: str, deadline: datetime) -> None:
        kind, source = contract.NoticeKind.INTERRUPTION, contract.NoticeSource.IMDS
        self._notice = contract.Notice(self.instance_id, kind, source, datetime.now(UTC), action, deadline)
        self._noticed.set()

    async def run(self) -> None:
        """Run until it is cancelled, as a host's power-off does."""
        try:
            while True:
                task = await self._poll()
                if task is not None:
                    doing = asyncio.ensure_future(self._carry_out(task))
                    self._under_way.add(doing)
                    doing.add_done_callback(self._under_way.discard)
        finally:
            for doing in self._under_way:
                doing.cancel()

    async def _poll(self) -> calls.PollActivityTaskQueueResponse | None:
        queue = TaskQueue(name=instance_queue(self.instance_id))
        request = calls.PollActivityTaskQueueRequest(
            namespace=self._client.namespace, task_queue=queue, identity=self.instance_id
        )
        try:
            found = await self._client.workflow_service.poll_activity_task_queue(request, timeout=_POLL)
        except RPCError:
            await asyncio.sleep(1.0)  # it is overloaded, or ends
            return None
        return found if found.task_token else None

    async def _carry_out(self, task: calls.PollActivityTaskQueueResponse) -> None:
        try:
            if task.activity_type.name == contract.HOST_WATCH:
                await self._watch(task)
            else:
                kind = _REQUESTS[task.activity_type.name]
                (asked,) = await self._client.data_converter.decode(list(task.input.payloads), [kind])
                await self._complete(task.task_token, self._report(asked))
        except RPCError:
            return  # nobody waits for this answer any more

    def _report(self, asked: Any) -> Any:
        now = datetime.now(UTC)
        match asked:
            case contract.ReadyRequest():
                return contract.ReadyReport(self.instance_id, _VERSION, now)
            case contract.InventoryRequest():
                return contract.Inventory(self.instance_id, self._filesystems(), [], _VERSION)
            case contract.QuiesceRequest():
                return contract.QuiesceReport(self.instance_id, now, asked.filesystems)
            case _:
                return contract.ServeReport(self.instance_id, now, asked.filesystems)

    def _filesystems(self) -> list[contract.Filesystem]:
        data = {volume: device for volume, device in self.volumes.items() if device != "/dev/xvda"}
        return [contract.Filesystem(f"uuid-{one}", f"/data/{one}", "ext4", "rw", at) for one, at in data.items()]

    async def _watch(self, task: calls.PollActivityTaskQueueResponse) -> None:
        """The watch for notices: send heartbeats until there is a notice, as the real agent does."""
        (asked,) = await self._client.data_converter.decode(list(task.input.payloads), [contract.WatchRequest])
        self.watching = True
        try:
            while self._notice is None or self._notice.notice_id in asked.known:
                if await self._beat(task.task_token):
                    await self._cancelled(task.task_token)
                    return
                try:
                    await asyncio.wait_for(self._noticed.wait(), asked.beat_s)
                except TimeoutError:
                    continue
                self._noticed.clear()
            await self._complete(task.task_token, self._notice)
        finally:
            self.watching = False

    async def _beat(self, token: bytes) -> bool:
        """Send a heartbeat; True when nobody waits for the answer any more."""
        request = calls.RecordActivityTaskHeartbeatRequest(
            task_token=token, identity=self.instance_id, namespace=self._client.namespace
        )
        try:
            answer = await self._client.workflow_service.record_activity_task_heartbeat(request, timeout=_CALL)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise
            return False  # the next beat may get through
        return answer.cancel_requested

    async def _complete(self, token: bytes, report: Any) -> None:
        payloads = Payloads(payloads=await self._client.data_converter.encode([report]))
        request = calls.RespondActivityTaskCompletedRequest(
            task_token=token, result=payloads, identity=self.instance_id, namespace=self._client.namespace
        )
        await self._client.workflow_service.respond_activity_task_completed(request, retry=True, timeout=_CALL)

    async def _cancelled(self, token: bytes) -> None:
        request = calls.RespondActivityTaskCanceledRequest(
            task_token=token, identity=self.instance_id, namespace=self._client.namespace
        )
        await self._client.workflow_service.respond_activity_task_canceled(request, retry=True, timeout=_CALL)
