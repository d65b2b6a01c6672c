"""The activities of domain.webhooks.contract. Secrets are opened for the moment of signing, and never logged."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database_errors import recording
from activities.webhooks.sender import Sender
from db.engine.session import SessionFactory, in_transaction
from db.webhooks.delivery_log import Attempt, Result, Standing, begin, finish
from db.webhooks.delivery_queue import feed, handed, waiting
from db.webhooks.secret_sealing import CannotOpen, Sealer
from domain.errors import Failure
from domain.webhooks import contract
from domain.webhooks.signing import body_of, headers

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class WebhookActivities:
    def __init__(
        self, sessions: SessionFactory, sealer: Sealer, sender: Sender, clock: Callable[[], datetime] = _now
    ) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._sender = sender
        self._clock = clock

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.collect, self.handed, self.deliver]

    @activity.defn(name=contract.COLLECT)
    async def collect(self, given: contract.Collect) -> contract.Collected:
        with recording("collecting events for webhooks"):
            made = await asyncio.to_thread(feed, self._sessions, self._clock())
            found = functools.partial(waiting, limit=given.limit, now=self._clock())
            return contract.Collected(made, await self._done(found))

    @activity.defn(name=contract.HANDED)
    async def handed(self, given: contract.Handed) -> None:
        with recording("noting deliveries"):
            await self._done(functools.partial(handed, ids=given.ids, now=self._clock()))

    @activity.defn(name=contract.DELIVER)
    async def deliver(self, given: contract.Deliver) -> contract.Delivered:
        """One attempt. What is to come again fails with the time until then; each is in the log before that."""
        with recording(f"delivery {given.delivery_id}"):
            attempt = await self._done(functools.partial(begin, delivery_id=given.delivery_id, now=self._clock()))
            standing = attempt if isinstance(attempt, Standing) else await self._attempt(attempt)
        if standing.again_in is not None:
            message = f"attempt {standing.attempts} failed; the log of deliveries says how"
            raise ApplicationError(message, type=Failure.UNAVAILABLE.value, next_retry_delay=standing.again_in)
        return contract.Delivered(standing.state.value, standing.attempts)

    async def _attempt(self, attempt: Attempt) -> Standing:
        result = await self._sent(attempt)
        return await self._done(
            functools.partial(finish, delivery_id=attempt.delivery_id, result=result, now=self._clock())
        )

    async def _sent(self, attempt: Attempt) -> Result:
        body = body_of(attempt.type, attempt.at, attempt.data)
        try:
            secret = self._sealer.open(attempt.sealed, attempt.webhook_id)
        except CannotOpen as error:
            return Result(None, 0, str(error))
        signed = headers(secret, attempt.delivery_id, self._clock(), body)
        return await self._sender.send(attempt.url, signed, body)

    async def _done(self, work: Callable[[Session], T]) -> T:
        return await asyncio.to_thread(in_transaction, self._sessions, work)
