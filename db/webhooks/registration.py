"""Webhooks as their owners make and change them. Each function is part of the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from db.event_log.writing import NewEvent, append_events
from db.tables import Client, Webhook, WebhookDelivery
from domain.webhooks.contract import DeliveryState

MAX_PER_CLIENT = 20  # of one client
ACTIVE, PAUSED, DISABLED = "active", "paused", "disabled"


class TooManyWebhooks(Exception):
    """The client has as many webhooks as it may."""


def create_webhook(
    session: Session,
    webhook_id: str,
    client_id: str,
    url: str,
    kinds: Sequence[str],
    label: str,
    sealed: str,
    now: datetime,
) -> Webhook:
    """Create a webhook for events from now on. Raise TooManyWebhooks."""
    latest = session.scalar(select(Client.event_seq).where(Client.id == client_id).with_for_update()) or 0
    count = select(func.count()).select_from(Webhook).where(Webhook.client_id == client_id)
    if (session.scalar(count) or 0) >= MAX_PER_CLIENT:
        raise TooManyWebhooks(f"client {client_id} has {MAX_PER_CLIENT} webhooks; delete one first")
    row = Webhook(
        id=webhook_id,
        client_id=client_id,
        url=url,
        label=label,
        kinds=sorted(set(kinds)),
        state=ACTIVE,
        secret_sealed=sealed,
        seen_seq=latest,
        why="",
        created_at=now,
        updated_at=now,
    )
    session.add(row)
    session.flush()
    append_events(session, client_id, [_event("created", now, row)])
    return row


def change_webhook(session: Session, client_id: str, webhook_id: str, now: datetime, **changes: Any) -> Webhook | None:
    """`url`, `kinds`, `label`, `active`. Made active again, it gets events from now on, not those that it missed.

    None: there is none.
    """
    row = session.scalar(_mine(client_id, webhook_id).with_for_update())
    if row is None:
        return None
    for name in ("url", "label"):
        if name in changes:
            setattr(row, name, changes[name])
    if "kinds" in changes:
        row.kinds = sorted(set(changes["kinds"]))
    if "active" in changes:
        _switch(session, row, changes["active"], now)
    row.updated_at = now
    session.flush()
    append_events(session, client_id, [_event("changed", now, row)])
    return row


def delete_webhook(session: Session, client_id: str, webhook_id: str, now: datetime) -> bool:
    """Delete the webhook and its log. False: there is none."""
    row = session.scalar(_mine(client_id, webhook_id).with_for_update())
    if row is None:
        return False
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id))
    session.delete(row)
    session.flush()
    append_events(session, client_id, [_event("deleted", now, row)])
    return True


def disable_webhook(session: Session, row: Webhook, why: str, now: datetime) -> NewEvent:
    """Disable the webhook, as the control plane does; the caller appends the event."""
    row.state, row.why, row.updated_at = DISABLED, why[:500], now
    drop_waiting_deliveries(session, row.id, now)
    return _event("disabled", now, row)


def drop_waiting_deliveries(session: Session, webhook_id: str, now: datetime) -> None:
    waiting = WebhookDelivery.webhook_id == webhook_id, WebhookDelivery.state == DeliveryState.PENDING.value
    over = {"state": DeliveryState.DROPPED.value, "finished_at": now, "handed_at": now, "next_try_at": None}
    session.execute(update(WebhookDelivery).where(*waiting).values(over))


def list_webhooks(session: Session, client_id: str) -> list[Webhook]:
    """Oldest first; no client has more than MAX_PER_CLIENT."""
    query = select(Webhook).where(Webhook.client_id == client_id)
    return list(session.scalars(query.order_by(Webhook.created_at, Webhook.id)))


def get_webhook(session: Session, client_id: str, webhook_id: str) -> Webhook | None:
    return session.scalar(_mine(client_id, webhook_id))


def _mine(client_id: str, webhook_id: str) -> Select[Webhook]:
    return select(Webhook).where(Webhook.id == webhook_id, Webhook.client_id == client_id)


def _switch(session: Session, row: Webhook, active: bool, now: datetime) -> None:
    if active and row.state != ACTIVE:
        row.seen_seq = session.scalar(select(Client.event_seq).where(Client.id == row.client_id)) or 0
        row.state, row.why, row.failing_since = ACTIVE, "", None
    elif not active and row.state == ACTIVE:
        row.state = PAUSED
        drop_waiting_deliveries(session, row.id, now)


def _event(what: str, now: datetime, row: Webhook) -> NewEvent:
    payload = {"webhook_id": row.id, "url": row.url, "kinds": row.kinds, "state": row.state}
    return NewEvent(f"webhook.{what}", now, payload=payload | ({"why": row.why} if row.why else {}))
