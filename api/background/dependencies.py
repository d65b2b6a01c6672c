"""Is what the API stands on there? Asked by /health/ready, and told in the log until it is."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.services import Services
from api.temporal.client import OperationsError

log = logging.getLogger(__name__)

RETRY_S = 2.0


@dataclass(frozen=True)
class Answer:
    """One dependency: where it was looked for, without secrets, and what is wrong (empty: nothing)."""

    name: str
    address: str
    wrong: str = ""


async def check_all(services: Services) -> list[Answer]:
    return list(await asyncio.gather(_database(services), _temporal(services)))


async def announce(services: Services) -> None:
    """Say which of them cannot be reached and where it was looked for, until all are there."""
    said: dict[str, str] = {}
    while True:
        answers = await check_all(services)
        for answer in answers:
            if said.get(answer.name) != answer.wrong:
                said[answer.name] = answer.wrong
                _say(answer)
        if not any(answer.wrong for answer in answers):
            return
        await asyncio.sleep(RETRY_S)


def _say(answer: Answer) -> None:
    if answer.wrong:
        log.warning("%s at %s cannot be reached, trying again: %s", answer.name, answer.address, answer.wrong)
    else:
        log.info("%s at %s answers", answer.name, answer.address)


async def _database(services: Services) -> Answer:
    address = services.settings.database_address
    try:
        await asyncio.to_thread(services.database.check)
    except (DBAPIError, PoolTimeout, RuntimeError) as error:
        # The driver's own words carry neither the password nor the URL.
        return Answer("database", address, str(getattr(error, "orig", None) or error))
    return Answer("database", address)


async def _temporal(services: Services) -> Answer:
    address = f"{services.operations.address} (namespace {services.operations.namespace})"
    try:
        await services.operations.check()
    except OperationsError as error:
        return Answer("temporal", address, str(error))
    return Answer("temporal", address)
