"""Drift over the API: each client sees its own, an admin sees all and may have it looked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from api.temporal.client import NoWorker
from db.tables import DriftRow
from domain.reconciliation.contract import ReconcileInput
from tests.api_world import Tenant, World, unique

pytest_plugins = ["tests.api_fixtures"]


def drift(world: World, tenant: Tenant | None = None, **values: Any) -> DriftRow:
    now = datetime.now(UTC)
    fixed: dict[str, Any] = {
        "id": unique("drift"),
        "client_id": (tenant or world.tenant).client_id,
        "server_id": "srv-1",
        "region": "us-east-1",
        "kind": "unknown_resource",
        "resource_type": "volume",
        "resource_id": "vol-1",
        "action": "remove",
        "reason": "operation_undone",
        "state": "open",
        "first_seen_at": now,
        "last_seen_at": now,
        "due_at": now + timedelta(hours=1),
        "finding_key": unique("key"),
    }
    row: DriftRow = world.write(DriftRow(**(fixed | values)))
    return row


async def test_a_finding_is_told_with_what_it_means_and_what_will_happen(world: World) -> None:
    row = drift(world)
    answer = await world.call("GET", "/api/drift?state=open")
    [item] = answer.json()["items"]
    assert item["id"] == row.id
    assert item["what"] == "EC2 has this volume with our tags, and no record explains it"
    assert item["then"].startswith("it is removed at 20")
    assert "remove our tags" in item["todo"]


async def test_each_client_sees_its_own_and_an_admin_sees_all(world: World) -> None:
    mine, others, nobodys = drift(world), drift(world, world.other), drift(world, client_id="")
    seen = {one["id"] for one in (await world.call("GET", "/api/drift?limit=500")).json()["items"]}
    assert mine.id in seen
    assert not seen & {others.id, nobodys.id}
    all_of_it = await world.http.get("/api/drift?limit=500", headers=world.admin)
    assert {mine.id, others.id, nobodys.id} <= {one["id"] for one in all_of_it.json()["items"]}


async def test_only_an_admin_has_it_looked_for(world: World) -> None:
    assert (await world.call("POST", "/api/drift/checks")).status_code == 403
    assert world.temporal.asked == []
    answer = await world.http.post("/api/drift/checks", headers=world.admin)
    assert answer.status_code == 200, answer.text
    assert world.temporal.asked == [("reconcile", ReconcileInput(asked=True))]


async def test_a_look_that_nobody_takes_up_says_so(world: World) -> None:
    world.temporal.error = NoWorker("no worker took it")
    answer = await world.http.post("/api/drift/checks", headers=world.admin)
    assert answer.status_code == 503
    assert answer.json()["type"].endswith("no-worker")


async def test_a_state_that_is_none_is_refused(world: World) -> None:
    assert (await world.call("GET", "/api/drift?state=lost")).status_code == 422
