"""The activities of domain.webhooks.contract. Secrets are opened only to sign, and never logged."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.database_errors import database_unavailable
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, in_transaction
from db.webhooks.delivery_log import AttemptResult, DeliveryAttempt, DeliveryStatus, begin_attempt, finish_attempt
from db.webhooks.delivery_queue import mark_dispatched, next_deliveries, queue_deliveries
from db.webhooks.secret_sealing import Sealer, SecretUnreadable
from domain.errors import Failure
from domain.webhooks import contract
from domain.webhooks.signing import body_of, headers

T = TypeVar("T")


def _now() -> datetime:
    return datetime.now(UTC)


class WebhookActivities:
    def __init__(
        self, sessions: SessionFactory, sealer: Sealer, sender: WebhookSender, clock: Callable[[], datetime] = _now
    ) -> None:
        self._sessions = sessions
        self._sealer = sealer
        self._sender = sender
        self._clock = clock

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.collect, self.handed, self.deliver]

    @activity.defn(name=contract.COLLECT_EVENTS)
    async def collect(self, given: contract.CollectEventsInput) -> contract.CollectEventsResult:
        with database_unavailable("collecting events for webhooks"):
            made = await asyncio.to_thread(queue_deliveries, self._sessions, self._clock())
            found = functools.partial(next_deliveries, limit=given.limit, now=self._clock())
            return contract.CollectEventsResult(made, await self._done(found))

    @activity.defn(name=contract.MARK_HANDED_OVER)
    async def handed(self, given: contract.MarkHandedOverInput) -> None:
        with database_unavailable("noting deliveries"):
            await self._done(functools.partial(mark_dispatched, ids=given.ids, now=self._clock()))

    @activity.defn(name=contract.DELIVER)
    async def deliver(self, given: contract.DeliverInput) -> contract.DeliverResult:
        """One attempt, written to the log. When it failed and another is to come, raises a failure with the time
        until then.
        """
        with database_unavailable(f"delivery {given.delivery_id}"):
            attempt = await self._done(
                functools.partial(begin_attempt, delivery_id=given.delivery_id, now=self._clock())
            )
            standing = attempt if isinstance(attempt, DeliveryStatus) else await self._attempt(attempt)
        if standing.again_in is not None:
            message = f"attempt {standing.attempts} failed; the log of deliveries says how"
            raise ApplicationError(message, type=Failure.UNAVAILABLE.value, next_retry_delay=standing.again_in)
        return contract.DeliverResult(standing.state.value, standing.attempts)

    async def _attempt(self, attempt: DeliveryAttempt) -> DeliveryStatus:
        result = await self._sent(attempt)
        return await self._done(
            functools.partial(finish_attempt, delivery_id=attempt.delivery_id, result=result, now=self._clock())
        )

    async def _sent(self, attempt: DeliveryAttempt) -> AttemptResult:
        body = body_of(attempt.type, attempt.at, attempt.data)
        try:
            secret = self._sealer.open(attempt.sealed, attempt.webhook_id)
        except SecretUnreadable as error:
            return AttemptResult(None, 0, str(error))
        signed = headers(secret, attempt.delivery_id, self._clock(), body)
        return await self._sender.send(attempt.url, signed, body)

    async def _done(self, work: Callable[[Session], T]) -> T:
        return await asyncio.to_thread(in_transaction, self._sessions, work)
