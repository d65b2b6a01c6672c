"""Whether the database and Temporal answer: for /health/ready, and in the log until both do."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.services import Services
from api.temporal.client import WorkflowCallError

log = logging.getLogger(__name__)

RETRY_S = 2.0


@dataclass(frozen=True)
class DependencyState:
    """One dependency: its address, without secrets, and what is wrong with it (empty: nothing)."""

    name: str
    address: str
    wrong: str = ""


async def check_dependencies(services: Services) -> list[DependencyState]:
    return list(await asyncio.gather(_database(services), _temporal(services)))


async def log_until_available(services: Services) -> None:
    """Log which of them cannot be reached, and at which address, until all answer."""
    said: dict[str, str] = {}
    while True:
        answers = await check_dependencies(services)
        for answer in answers:
            if said.get(answer.name) != answer.wrong:
                said[answer.name] = answer.wrong
                _say(answer)
        if not any(answer.wrong for answer in answers):
            return
        await asyncio.sleep(RETRY_S)


def _say(answer: DependencyState) -> None:
    if answer.wrong:
        log.warning("%s at %s cannot be reached, trying again: %s", answer.name, answer.address, answer.wrong)
    else:
        log.info("%s at %s answers", answer.name, answer.address)


async def _database(services: Services) -> DependencyState:
    address = services.settings.database_address
    try:
        await asyncio.to_thread(services.database.check)
    except (DBAPIError, PoolTimeout, RuntimeError) as error:
        # The driver's message has neither the password nor the URL in it.
        return DependencyState("database", address, str(getattr(error, "orig", None) or error))
    return DependencyState("database", address)


async def _temporal(services: Services) -> DependencyState:
    address = f"{services.temporal.address} (namespace {services.temporal.namespace})"
    try:
        await services.temporal.check()
    except WorkflowCallError as error:
        return DependencyState("temporal", address, str(error))
    return DependencyState("temporal", address)
