"""Which workflows run, as Temporal knows. Every function raises RPCError when it does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any, Protocol

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

_ASKED_AT_ONCE = 20
_PAGE = 1000  # the most that Temporal gives by default (frontend.visibilityMaxPageSize)
_ANSWER = timedelta(seconds=5)


class WorkflowListing(Protocol):
    """What is needed of a Temporal client here."""

    def get_workflow_handle(self, workflow_id: str) -> Any: ...

    def list_workflows(self, query: str, *, page_size: int, rpc_timeout: timedelta) -> AsyncIterator[Any]: ...


async def list_running(workflows: WorkflowListing, query: str) -> set[str]:
    """IDs, page by page. The list lags behind: what started or ended just now may be missing, or still there."""
    return {one.id async for one in _listed(workflows, query)}


async def list_running_with_memo(workflows: WorkflowListing, query: str, memo: str) -> dict[str, Any]:
    """ID -> the value of that key of its memo, None without one. Page by page, and it lags as `listed` does."""
    return {one.id: await _said(one, memo) async for one in _listed(workflows, query)}


def _listed(workflows: WorkflowListing, query: str) -> AsyncIterator[Any]:
    return workflows.list_workflows(f"{query} AND ExecutionStatus = 'Running'", page_size=_PAGE, rpc_timeout=_ANSWER)


async def _said(one: Any, memo: str) -> Any:
    """Decoded only where there is one: of thousands hardly any has it."""
    return await one.memo_value(memo, None) if memo in one.raw_info.memo.fields else None


async def is_running(workflows: WorkflowListing, workflow_id: str) -> bool:
    """By its ID: this answer does not lag."""
    try:
        told = await workflows.get_workflow_handle(workflow_id).describe(rpc_timeout=_ANSWER)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return False
    return bool(told.status is WorkflowExecutionStatus.RUNNING)


async def find_running(workflows: WorkflowListing, workflow_ids: Iterable[str]) -> set[str]:
    """Those of them that run. Each is asked for by its ID, some at a time."""
    slots = asyncio.Semaphore(_ASKED_AT_ONCE)

    async def ask(workflow_id: str) -> tuple[str, bool]:
        async with slots:
            return workflow_id, await is_running(workflows, workflow_id)

    return {one for one, it_runs in await asyncio.gather(*map(ask, workflow_ids)) if it_runs}
