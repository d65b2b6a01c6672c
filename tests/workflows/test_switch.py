"""A switch: capacity first, nothing lost, undone when it cannot be finished."""

from __future__ import annotations

import pytest

from domain.operations import OperationKind, Outcome
from domain.servers import Handoff
from tests.workflows.conftest import Given
from tests.workflows.under_test import committed, rolled_back, steps
from tests.workflows.world import OLD, OTHER_ZONE, SPOT, SPOT_2


async def test_a_stateless_server_moves_to_the_best_pool(given: Given) -> None:
    server = await given(targets=True)
    result = committed(await server.switch())
    assert result.receipt.to_pool == SPOT
    assert server.cloud.world.alive == ["i-1"]


@pytest.mark.parametrize("n", range(6))
async def test_again(given: Given, n: int) -> None:
    server = await given(Handoff.VOLUMES)
    result = committed(await server.switch())
    print(server.cloud.story)
