"""The ledger's accrual as a workflow: what could not be priced is asked for, and asking may fail."""

from __future__ import annotations

from domain.market import contract as market
from domain.names import CONTROL_QUEUE
from domain.savings import contract
from tests.database_schemas import unique
from tests.workflows.conftest import Given
from tests.workflows.faults import failing
from tests.workflows.server_under_test import ServerUnderTest


async def one_accrual(server: ServerUnderTest) -> contract.AccrueResult:
    done: contract.AccrueResult = await server.client.execute_workflow(
        contract.ACCRUE_WORKFLOW,
        contract.AccrueInput(),
        id=unique("accrue"),
        task_queue=CONTROL_QUEUE,
        result_type=contract.AccrueResult,
    )
    return done


async def test_prices_that_were_lacking_are_asked_for(given: Given) -> None:
    server = await given()
    assert (await one_accrual(server)).accruals == 1
    [call] = server.cloud.called(market.COLLECT_ON_DEMAND)
    assert (call.argument.region, call.argument.types) == ("us-east-1", ["m5.large"])


async def test_an_accrual_stands_when_prices_cannot_be_had(given: Given) -> None:
    server = await given()
    server.cloud.fault(failing(market.COLLECT_ON_DEMAND))
    assert (await one_accrual(server)).accruals == 1
