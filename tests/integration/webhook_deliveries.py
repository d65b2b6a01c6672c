"""Webhooks and their deliveries as the tests make and read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from temporalio.exceptions import ApplicationError

from activities.webhooks.activity import WebhookActivities
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import NewEvent, append_events
from db.tables import Webhook, WebhookDelivery
from db.webhooks.delivery_log import AttemptResult
from db.webhooks.delivery_queue import queue_deliveries
from db.webhooks.registration import create_webhook
from db.webhooks.secret_sealing import Sealer
from domain.webhooks import contract
from domain.webhooks.event_kinds import CHOICES, WebhookKind
from tests.database_schemas import NOW, unique

KEY, SECRET = "k" * 32, "whsec_" + "c2VjcmV0" * 4
SEALER = Sealer(KEY)


class Receiver(WebhookSender):
    """Answers with what it is told, and remembers what came."""

    def __init__(self, codes: Sequence[int | None] = ()) -> None:
        super().__init__(private=False)
        self.codes = list(codes)
        self.came: list[tuple[str, dict[str, str], bytes]] = []

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> AttemptResult:
        self.came.append((url, dict(headers), body))
        code = self.codes.pop(0) if self.codes else 200
        return AttemptResult(code, 12, "" if code else "ConnectError: refused")


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture(autouse=True)
def no_webhooks(sessions: SessionFactory) -> None:
    with sessions.begin() as session:
        for name in ("webhooks", "webhook_deliveries"):
            session.execute(text(f"DELETE FROM {name}"))


def hook(sessions: SessionFactory, client_id: str, *kinds: WebhookKind) -> str:
    webhook_id = unique("whk")
    sealed = SEALER.seal(SECRET, webhook_id)

    def work(session: Any) -> Webhook:
        return create_webhook(
            session, webhook_id, client_id, "https://hooks.example.com/x", kinds or CHOICES, "", sealed, NOW
        )

    in_transaction(sessions, work)
    return webhook_id


def tell(sessions: SessionFactory, client_id: str, *types: str, kind: str = "failover") -> None:
    events = [NewEvent(one, NOW, server_id="srv-1", payload={"kind": kind}) for one in types]
    in_transaction(sessions, lambda session: append_events(session, client_id, events))


def log(sessions: SessionFactory, webhook_id: str) -> list[WebhookDelivery]:
    """Oldest first."""
    with sessions() as session:
        rows = session.scalars(select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)).all()
    return sorted(rows, key=lambda row: (row.event_seq or 0, row.id))


def activities(sessions: SessionFactory, receiver: Receiver, clock: Clock | None = None) -> WebhookActivities:
    return WebhookActivities(sessions, SEALER, receiver, clock or Clock())


async def deliver(work: WebhookActivities, delivery_id: str) -> contract.DeliverResult | ApplicationError:
    try:
        return await work.deliver(contract.DeliverInput(delivery_id))
    except ApplicationError as error:
        return error


def a_webhook(sessions: SessionFactory, webhook_id: str) -> Webhook:
    with sessions() as session:
        return session.get_one(Webhook, webhook_id)


def queue_for_later(sessions: SessionFactory, client_id: str, webhook_id: str, count: int) -> None:
    """So many wait for an attempt hours away, and the receiver has done nothing but fail."""
    tell(sessions, client_id, *["notice.rebalance"] * count)
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        for row in session.scalars(select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)):
            row.handed_at, row.attempts, row.next_try_at = NOW, 9, NOW + timedelta(hours=8)
        session.get_one(Webhook, webhook_id).failing_since = NOW - timedelta(hours=8)
