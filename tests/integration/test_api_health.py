"""An API process says what it is and what it misses."""

from __future__ import annotations

from api.temporal.client import WorkflowCallError
from tests.api_world import World

pytest_plugins = ["tests.api_fixtures"]


async def test_an_api_process_is_alive_whatever_is_missing(world: World) -> None:
    world.temporal.error = WorkflowCallError("nothing there")
    assert (await world.http.get("/health/live")).status_code == 200


async def test_ready_says_which_dependency_is_missing_and_where_it_looked(world: World) -> None:
    assert (await world.http.get("/health/ready")).status_code == 200

    world.temporal.error = WorkflowCallError("connection refused")
    answer = await world.http.get("/health/ready")

    assert answer.status_code == 503
    found = answer.json()["dependencies"]
    assert found["database"]["ok"]
    assert found["temporal"] == {
        "ok": False,
        "address": "temporal.test:7233 (namespace default)",
        "detail": "connection refused",
    }
    assert "password" not in answer.text
