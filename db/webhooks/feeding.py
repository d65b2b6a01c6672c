"""From events to deliveries: each event at most once for a webhook, and none missed.

How far a webhook has come moves in the transaction that makes its deliveries, under its row's lock. Events of one
client are numbered in the order in which they commit (`db.events`), so what lies behind is complete.
"""

from __future__ import annotations

import functools
import logging
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from db.models import Client, Event, Webhook, WebhookDelivery
from db.queries.events import events_after
from db.session import SessionFactory, in_transaction
from db.webhooks.hooks import ACTIVE
from domain.webhooks.deliveries import DeliveryState
from domain.webhooks.kinds import TEST_TYPE, Kind, kinds_of
from domain.webhooks.signing import message_id

_EVENTS = 500  # of one webhook in one transaction
# Deliveries of one webhook under way at once: a receiver that does not answer keeps nobody else's waiting.
AT_ONCE, AT_ONCE_WHILE_FAILING = 20, 2

log = logging.getLogger(__name__)


def feed(sessions: SessionFactory, now: datetime) -> int:
    """Make the deliveries of everything that has happened; return how many."""
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


def add_test(session: Session, row: Webhook, message: str, now: datetime) -> WebhookDelivery:
    """A message that is asked for, to a webhook of any kinds."""
    data = {"webhook_id": row.id, "at": now.isoformat(), "payload": {}}
    made = WebhookDelivery(**_delivery(row, message, Kind.TEST, TEST_TYPE, data, None, now))
    session.add(made)
    session.flush()
    return made


def waiting(session: Session, limit: int) -> list[str]:
    """Deliveries that have no workflow yet, the oldest of each webhook first, within what it may have under way."""
    place = func.row_number().over(
        partition_by=WebhookDelivery.webhook_id, order_by=(WebhookDelivery.created_at, WebhookDelivery.event_seq)
    )
    numbered = (
        select(WebhookDelivery.id, WebhookDelivery.webhook_id, place.label("place"))
        .where(WebhookDelivery.handed_at.is_(None))
        .subquery()
    )
    first = select(numbered.c.id, numbered.c.webhook_id, numbered.c.place).where(numbered.c.place <= AT_ONCE)
    found = session.execute(first.order_by(numbered.c.place).limit(limit)).all()
    room = _room(session, {webhook_id for _, webhook_id, _ in found})
    return [delivery_id for delivery_id, webhook_id, place in found if place <= room[webhook_id]]


def handed(session: Session, ids: list[str], now: datetime) -> None:
    for row in session.scalars(select(WebhookDelivery).where(WebhookDelivery.id.in_(ids)).with_for_update()):
        row.handed_at = row.handed_at or now


def _room(session: Session, webhook_ids: set[str]) -> dict[str, int]:
    if not webhook_ids:
        return {}
    failing = dict(session.execute(select(Webhook.id, Webhook.failing_since).where(Webhook.id.in_(webhook_ids))).all())
    under_way = (
        select(WebhookDelivery.webhook_id, func.count())
        .where(
            WebhookDelivery.webhook_id.in_(webhook_ids),
            WebhookDelivery.state == DeliveryState.PENDING.value,
            WebhookDelivery.handed_at.is_not(None),
        )
        .group_by(WebhookDelivery.webhook_id)
    )
    busy = dict(session.execute(under_way).all())
    most = {one: AT_ONCE_WHILE_FAILING if failing.get(one) else AT_ONCE for one in webhook_ids}
    return {one: most[one] - busy.get(one, 0) for one in webhook_ids}


def _wanted(row: Webhook, event: Event) -> Kind | None:
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
    row: Webhook, message: str, kind: Kind, event_type: str, data: dict[str, Any], seq: int | None, now: datetime
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
