"""Temporal as activities ask it which workflows run: a list that may lag behind, and a direct answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode


@dataclass
class FakeTemporal:
    """`runs`: workflow IDs. `lagging`: of those, what the list does not show yet. `failing`: of those, whose tasks
    fail; None: as a server that has no such search attribute. `memos`: of those, by ID. `away`: it answers nothing."""

    runs: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    lagging: set[str] = field(default_factory=set)
    failing: set[str] | None = field(default_factory=set)
    memos: dict[str, dict[str, Any]] = field(default_factory=dict)
    away: bool = False
    described: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    def get_workflow_handle(self, workflow_id: str) -> Any:
        return FakeWorkflowHandle(self, workflow_id)

    async def list_workflows(self, query: str, **_: Any) -> AsyncIterator[Any]:
        self.queries.append(query)
        self.answer()
        shown = self.runs - self.lagging
        if "TemporalReportedProblems" in query:
            if self.failing is None:
                raise RPCError("no mapping defined for search attribute", RPCStatusCode.INVALID_ARGUMENT, b"")
            shown &= self.failing
        for one in sorted(shown):
            yield ListedWorkflow(one, self.memos.get(one, {}))

    def answer(self) -> None:
        if self.away:
            raise RPCError("connection refused", RPCStatusCode.UNAVAILABLE, b"")


@dataclass
class ListedWorkflow:
    id: str
    kept: dict[str, Any]

    @property
    def raw_info(self) -> Any:
        return SimpleNamespace(memo=SimpleNamespace(fields=self.kept))

    async def memo_value(self, key: str, default: Any) -> Any:
        return self.kept.get(key, default)


@dataclass
class FakeWorkflowHandle:
    temporal: FakeTemporal
    workflow_id: str

    async def describe(self, **_: Any) -> Any:
        known = self.temporal
        known.described.append(self.workflow_id)
        known.answer()
        if self.workflow_id not in known.runs | known.closed:
            raise RPCError("none", RPCStatusCode.NOT_FOUND, b"")
        it_runs = self.workflow_id in known.runs
        status = WorkflowExecutionStatus.RUNNING if it_runs else WorkflowExecutionStatus.TERMINATED

        async def memo() -> dict[str, Any]:
            return known.memos.get(self.workflow_id, {})

        return SimpleNamespace(status=status, memo=memo)
