"""One path through the workflows, played on the fake cloud for its recording."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from temporalio.client import Client

from domain.names import operation_workflow_id
from domain.operations import (
    OperationKind,
)
from domain.servers import Handoff, ServerPolicy, ServerRef
from tests.workflows.ec2_state import REGION
from tests.workflows.fake_cloud import FakeActivities, FakeCloud
from tests.workflows.server_under_test import Clock, ServerUnderTest, TaskFailureLog


@dataclass(frozen=True)
class PathRun:
    """One path: `name` is that of its recording."""

    client: Client
    fakes: FakeActivities
    name: str

    async def server(self, handoff: Handoff, *, replica: bool = False, **policy: Any) -> ServerUnderTest:
        self.fakes.cloud = FakeCloud(handoff, targets=handoff is Handoff.STATELESS, elastic=handoff is Handoff.VOLUMES)
        allowed = ServerPolicy(handoff=handoff, accepted_findings=["no_address_moves"], **policy)
        clock = Clock(self.client, skips=False)
        return await ServerUnderTest.start(
            self.client, clock, self.fakes.cloud, TaskFailureLog(), self.name, allowed, replica=replica
        )

    @property
    def ref(self) -> ServerRef:
        return ServerRef(f"srv-{self.name}", "cli-1", "orders", REGION)

    async def operation(self, kind: OperationKind, handoff: Handoff, **how: Any) -> list[str]:
        """One operation to its end; both its history and its server's."""
        asked = {key: how.pop(key) for key in ("pool",) if key in how}
        faults = how.pop("faults", [])
        server = await self.server(handoff, **how)
        server.cloud.faults += faults
        result = await server.do(kind, **asked)
        return await both(server, result.receipt.operation_id)


HistoryPath = Callable[[PathRun], Awaitable[list[str]]]


async def both(server: ServerUnderTest, operation: str) -> list[str]:
    await server.at_rest()
    return [operation_workflow_id(operation), server.handle.id]
