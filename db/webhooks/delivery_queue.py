"""From events to deliveries: each event at most once for a webhook, and none missed.

A webhook's position moves in the transaction that makes its deliveries, under the lock of its row. Events of one
client are numbered in the order of their commits (`db.event_log.writing`), so no event appears behind the position.
"""

from __future__ import annotations

import functools
import itertools
import logging
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.engine.session import SessionFactory, in_transaction
from db.event_log.reading import events_after
from db.tables import Client, Event, Webhook, WebhookDelivery
from db.webhooks.delivery_slots import AT_ONCE, read_delivery_slots
from db.webhooks.registration import ACTIVE
from domain.webhooks.contract import DeliverInput, DeliveryState
from domain.webhooks.event_kinds import TEST_TYPE, WebhookKind, kinds_of
from domain.webhooks.signing import message_id

_EVENTS = 500  # of one webhook in one transaction

log = logging.getLogger(__name__)


def queue_deliveries(sessions: SessionFactory, now: datetime) -> int:
    """Make the deliveries of all new events; return how many."""
    with sessions() as session:
        behind = (
            select(Webhook.id)
            .join(Client, Client.id == Webhook.client_id)
            .where(Webhook.state == ACTIVE, Client.deleted_at.is_(None), Client.event_seq > Webhook.seen_seq)
        )
        ids = list(session.scalars(behind))
    made = 0
    for webhook_id in ids:
        more = True
        while more:
            count, more = in_transaction(sessions, functools.partial(_feed_one, webhook_id=webhook_id, now=now))
            made += count
    return made


def _feed_one(session: Session, webhook_id: str, now: datetime) -> tuple[int, bool]:
    row = session.get(Webhook, webhook_id, with_for_update=True, populate_existing=True)
    if row is None or row.state != ACTIVE:
        return 0, False
    page = events_after(session, row.client_id, row.seen_seq, _EVENTS)
    if page.gap:
        log.warning("webhook %s: events before %d have expired untold", row.id, page.oldest_seq)
    wanted = [(event, kind) for event in page.events if (kind := _wanted(row, event)) is not None]
    rows = [
        _delivery(row, message_id(row.id, event.seq), kind, event.type, _data(event), event.seq, now)
        for event, kind in wanted
    ]
    if rows:
        session.execute(insert(WebhookDelivery), rows)
    row.seen_seq = page.events[-1].seq if page.events else max(row.seen_seq, page.latest_seq)
    return len(rows), len(page.events) == _EVENTS


def queue_test_delivery(session: Session, row: Webhook, message: str, now: datetime) -> WebhookDelivery:
    """A test message, whatever kinds of events the webhook wants."""
    data = {"webhook_id": row.id, "at": now.isoformat(), "payload": {}}
    made = WebhookDelivery(**_delivery(row, message, WebhookKind.TEST, TEST_TYPE, data, None, now))
    session.add(made)
    session.flush()
    return made


def next_deliveries(session: Session, limit: int, now: datetime) -> list[DeliverInput]:
    """Deliveries without a workflow yet, as far as there are free slots (`db.webhooks.delivery_slots`).

    Tests first; then the oldest delivery of each webhook, before the second of any.
    """
    is_test = WebhookDelivery.kind == WebhookKind.TEST.value
    place = func.row_number().over(
        partition_by=(WebhookDelivery.webhook_id, is_test),
        order_by=(WebhookDelivery.created_at, WebhookDelivery.event_seq),
    )
    numbered = (
        select(
            WebhookDelivery.id,
            WebhookDelivery.webhook_id,
            WebhookDelivery.client_id,
            is_test.label("test"),
            place.label("place"),
        )
        .where(WebhookDelivery.handed_at.is_(None))
        # MariaDB sometimes estimates that two fifths of all rows wait, and then reads the whole table.
        .with_hint(WebhookDelivery, "FORCE INDEX (ix_webhook_deliveries_waiting)")
        .subquery()
    )
    first = select(numbered).where(numbered.c.place <= AT_ONCE).order_by(numbered.c.test.desc(), numbered.c.place)
    rows = session.execute(first).all()
    left = read_delivery_slots(session, {row.client_id for row in rows}, now)
    fitting = (row for row in rows if left.take(row.webhook_id, row.client_id, test=bool(row.test)))
    return [DeliverInput(row.id, row.client_id) for row in itertools.islice(fitting, limit)]


def mark_dispatched(session: Session, ids: list[str], now: datetime) -> None:
    for row in session.scalars(select(WebhookDelivery).where(WebhookDelivery.id.in_(ids)).with_for_update()):
        row.handed_at = row.handed_at or now


def _wanted(row: Webhook, event: Event) -> WebhookKind | None:
    return next((kind for kind in kinds_of(event.type, event.payload) if kind.value in row.kinds), None)


def _data(event: Event) -> dict[str, Any]:
    return {
        "seq": event.seq,
        "at": event.at.isoformat(),
        "server_id": event.server_id,
        "instance_id": event.instance_id,
        "operation_id": event.operation_id,
        "payload": event.payload,
    }


def _delivery(
    row: Webhook, message: str, kind: WebhookKind, event_type: str, data: dict[str, Any], seq: int | None, now: datetime
) -> dict[str, Any]:
    return {
        "id": message,
        "webhook_id": row.id,
        "client_id": row.client_id,
        "event_seq": seq,
        "kind": kind.value,
        "type": event_type,
        "payload": data,
        "state": DeliveryState.PENDING.value,
        "attempts": 0,
        "error": "",
        "created_at": now,
    }
