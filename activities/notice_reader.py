"""EventBridge's two warnings, read from an SQS queue and passed to the server's workflow.

A message is deleted only when the workflow has taken it: a worker that dies before leaves it to the next. The server
of an instance is read from its tags at EC2, so that this works while the database is down.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from temporalio.service import RPCError, RPCStatusCode

from domain.host import Notice, NoticeKind, NoticeSource
from domain.names import TAG_SERVER, server_workflow_id
from domain.operations import SIGNAL_NOTICE

_KINDS = {
    "EC2 Spot Instance Interruption Warning": NoticeKind.INTERRUPTION,
    "EC2 Instance Rebalance Recommendation": NoticeKind.REBALANCE,
}
# A warning comes two minutes ahead (EC2 user guide, "Spot Instance interruption notices").
_WARNING = timedelta(minutes=2)
_WAIT_S = 5  # a long poll holds a thread, and the worker's shutdown, for at most this long
log = logging.getLogger("notices")


class MalformedNotice(ValueError):
    """Not one of EC2's warnings. It is logged and deleted, so that it does not come back again and again."""


@dataclass(frozen=True)
class NoticeQueue:
    """What the reader needs of AWS; each is a blocking call."""

    receive: Callable[[int], list[tuple[str, str]]]  # wait seconds -> (receipt handle, body)
    delete: Callable[[str], None]
    tags: Callable[[str, str], dict[str, str]]  # region, instance ID -> tags


class WorkflowHandles(Protocol):
    def get_workflow_handle(self, workflow_id: str) -> Any: ...


def parse_warning(body: str, seen_at: datetime) -> tuple[Notice, str]:
    """An EventBridge event as a notice, with its region. Raises MalformedNotice."""
    try:
        event = json.loads(body)
        kind = _KINDS[event["detail-type"]]
        instance_id = str(event["detail"]["instance-id"])
        at = datetime.fromisoformat(str(event["time"]).replace("Z", "+00:00")).astimezone(UTC)
        region = str(event["region"])
    except (ValueError, KeyError, TypeError) as error:
        raise MalformedNotice(f"{type(error).__name__}: {error}") from error
    interruption = kind is NoticeKind.INTERRUPTION
    action = str(event["detail"].get("instance-action", "terminate"))
    deadline = at + _WARNING if interruption else None
    return Notice(instance_id, kind, NoticeSource.EVENTBRIDGE, seen_at, action, deadline), region


async def read_notices(queue: NoticeQueue, client: WorkflowHandles) -> None:
    """Read until cancelled. After an error of AWS or Temporal it waits and tries again."""
    while True:
        try:
            messages = await asyncio.to_thread(queue.receive, _WAIT_S)
            await asyncio.gather(*(_handle(queue, client, handle, body) for handle, body in messages))
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("cannot read the notice queue; trying again in 1 s")
            await asyncio.sleep(1.0)


async def _handle(queue: NoticeQueue, client: WorkflowHandles, handle: str, body: str) -> None:
    try:
        notice, region = parse_warning(body, datetime.now(UTC))
    except MalformedNotice as error:
        log.warning("deleted a message that is not one of EC2's warnings: %s", error)
        await asyncio.to_thread(queue.delete, handle)
        return
    server_id = (await asyncio.to_thread(queue.tags, region, notice.instance_id)).get(TAG_SERVER)
    if server_id and await _tell(client, server_id, notice):
        log.info("notice %s for server %s", notice.notice_id, server_id)
    else:
        log.info("notice for %s, which is no instance of a server of ours (any more)", notice.instance_id)
    await asyncio.to_thread(queue.delete, handle)


async def _tell(client: WorkflowHandles, server_id: str, notice: Notice) -> bool:
    """False: the server's workflow has ended, so nobody will ever take this notice."""
    try:
        await client.get_workflow_handle(server_workflow_id(server_id)).signal(SIGNAL_NOTICE, notice)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
