"""The log of deliveries: each attempt, and its result."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.engine.bulk import delete_in_batches
from db.engine.paging import Page, fetch_page
from db.engine.session import SessionFactory
from db.event_log.writing import append_events
from db.tables import Webhook, WebhookDelivery
from db.webhooks.registration import ACTIVE, disable_webhook
from domain.webhooks.contract import DISABLE_AFTER, GONE, DeliveryState, is_delivered, next_delay


@dataclass(frozen=True)
class DeliveryAttempt:
    """What is needed to send a message. `sealed`: the webhook's secret, encrypted."""

    delivery_id: str
    webhook_id: str
    url: str
    sealed: str
    type: str
    data: dict[str, Any]
    at: datetime


@dataclass(frozen=True)
class AttemptResult:
    """The result of an attempt. `code` None: no answer; `error` says why."""

    code: int | None
    duration_ms: int
    error: str = ""


@dataclass(frozen=True)
class DeliveryStatus:
    """The state of a delivery. `again_in`: until its next attempt; None: it is over."""

    state: DeliveryState
    attempts: int
    again_in: timedelta | None = None


def begin_attempt(session: Session, delivery_id: str, now: datetime) -> DeliveryAttempt | DeliveryStatus:
    """The attempt to make; or the state of the delivery, when none is to be made."""
    row = session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if row is None:
        return DeliveryStatus(DeliveryState.DROPPED, 0)
    webhook = session.get(Webhook, row.webhook_id)
    if row.state == DeliveryState.PENDING and (webhook is None or webhook.state != ACTIVE):
        row.state, row.finished_at, row.next_try_at = DeliveryState.DROPPED.value, now, None
    if webhook is None or row.state != DeliveryState.PENDING:
        return DeliveryStatus(DeliveryState(row.state), row.attempts)
    return DeliveryAttempt(
        row.id, webhook.id, webhook.url, webhook.secret_sealed, row.type, row.payload, row.created_at
    )


def finish_attempt(session: Session, delivery_id: str, result: AttemptResult, now: datetime) -> DeliveryStatus:
    """Write the attempt's result; a webhook that only fails is disabled, with an event."""
    row = session.get(WebhookDelivery, delivery_id, with_for_update=True)
    if row is None:
        return DeliveryStatus(DeliveryState.DROPPED, 0)
    row.attempts += 1
    row.response_code, row.duration_ms, row.error = result.code, result.duration_ms, result.error[:500]
    again = None
    if is_delivered(result.code):
        row.state = DeliveryState.DELIVERED.value
    elif row.state == DeliveryState.PENDING and (again := next_delay(row.attempts)) is None:
        row.state = DeliveryState.FAILED.value
    row.next_try_at = now + again if again else None
    row.finished_at = None if again else now
    session.flush()
    _note_health(session, row, result, now)
    session.refresh(row)
    return DeliveryStatus(DeliveryState(row.state), row.attempts, again if row.state == DeliveryState.PENDING else None)


def list_deliveries(
    session: Session, client_id: str, webhook_id: str, *, cursor: str | None = None, limit: int = 50
) -> Page[WebhookDelivery]:
    """Newest first."""
    mine = WebhookDelivery.client_id == client_id, WebhookDelivery.webhook_id == webhook_id
    query = select(WebhookDelivery).where(*mine)
    return fetch_page(session, query, WebhookDelivery.created_at, WebhookDelivery.id, cursor, limit)


def expire_deliveries(sessions: SessionFactory, before: datetime) -> int:
    """Delete those that were over, and made before; return how many."""
    over = WebhookDelivery.state != DeliveryState.PENDING.value
    old = select(WebhookDelivery.id).where(WebhookDelivery.created_at < before, over)
    return delete_in_batches(sessions, WebhookDelivery.id, old)


def _note_health(session: Session, row: WebhookDelivery, result: AttemptResult, now: datetime) -> None:
    webhook = session.get(Webhook, row.webhook_id, with_for_update=True, populate_existing=True)
    if webhook is None or webhook.state != ACTIVE:
        return
    if is_delivered(result.code):
        webhook.failing_since = None
        return
    webhook.failing_since = webhook.failing_since or now
    if result.code == GONE:
        why = "the receiver answered 410: it wants no more"
    elif now - webhook.failing_since >= DISABLE_AFTER:
        why = f"nothing could be delivered since {webhook.failing_since.isoformat()}; last: {_last(result)}"
    else:
        return
    event = disable_webhook(session, webhook, why, now)
    session.flush()
    append_events(session, webhook.client_id, [event])


def _last(result: AttemptResult) -> str:
    return f"HTTP {result.code}" if result.code is not None else result.error
