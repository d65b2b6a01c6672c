"""A backtest's workflow: it always says its end, whatever that is."""

from __future__ import annotations

import asyncio

import pytest
from temporalio import activity
from temporalio.client import WorkflowFailureError
from temporalio.exceptions import CancelledError

from domain.backtest import contract
from domain.backtest.contract import BacktestState, RunBacktestInput
from domain.names import CONTROL_QUEUE
from tests.workflows.conftest import Given
from tests.workflows.faults import Fault, failing, while_in
from tests.workflows.server_under_test import ServerUnderTest


async def replayed(server: ServerUnderTest) -> None:
    await server.client.execute_workflow(
        contract.BACKTEST_WORKFLOW,
        RunBacktestInput("bkt-1"),
        id=f"backtest-{server.ref.server_id}",
        task_queue=CONTROL_QUEUE,
    )


async def test_a_replay_that_ends_needs_no_other_end(given: Given) -> None:
    server = await given()
    await replayed(server)
    assert len(server.cloud.called(contract.BACKTEST_RUN)) == 1
    assert server.cloud.backtests_settled == []


async def test_a_replay_that_fails_for_good_is_kept_as_failed_with_its_reason(given: Given) -> None:
    server = await given()
    server.cloud.fault(failing(contract.BACKTEST_RUN, contract.NO_DATA))
    await replayed(server)
    [end] = server.cloud.backtests_settled
    assert (end.state, end.backtest_id) == (BacktestState.FAILED, "bkt-1")
    assert end.problem


async def test_a_database_that_is_away_for_a_moment_is_waited_for(given: Given) -> None:
    server = await given()
    server.cloud.fault(Fault(contract.BACKTEST_RUN, "Unavailable", times=1))
    await replayed(server)
    assert len(server.cloud.called(contract.BACKTEST_RUN)) == 2
    assert server.cloud.backtests_settled == []


async def test_a_cancellation_is_kept_as_one(given: Given) -> None:
    server = await given()

    async def cancel() -> None:
        """The replay is under way; it hears of the cancellation by its heartbeat."""
        await server.client.get_workflow_handle(f"backtest-{server.ref.server_id}").cancel()
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.1)

    server.cloud.fault(while_in(contract.BACKTEST_RUN, cancel))
    with pytest.raises(WorkflowFailureError) as caught:
        await replayed(server)
    assert isinstance(caught.value.cause, CancelledError)
    [end] = server.cloud.backtests_settled
    assert end.state is BacktestState.CANCELLED
