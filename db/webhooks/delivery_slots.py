"""How many deliveries may be under way at once, of a webhook and of all webhooks of a client.

A delivery is under way while it is being sent, or just before. One that waits for a later attempt takes no slot, but
there is a limit to how many may wait while the receiver fails; further ones wait in the table.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from db.tables import Webhook, WebhookDelivery
from domain.webhooks.contract import DeliveryState
from domain.webhooks.event_kinds import WebhookKind

# Of one webhook: a receiver that does not answer must not delay other webhooks.
AT_ONCE, AT_ONCE_WHILE_FAILING, TESTS_AT_ONCE = 20, 2, 5
HELD_WHILE_FAILING = 200  # including those that wait for a later attempt: each is an open workflow
AT_ONCE_OF_CLIENT = 30  # well below a worker's slots for all clients' messages
SOON = timedelta(seconds=30)  # about as long as until the next dispatch or two


class DeliverySlots:
    """The free slots; a taken slot counts at once. A test has a slot of its own: people use it to see a repair work."""

    def __init__(self, failing: Collection[str]) -> None:
        self._failing = failing
        self._awake: Counter[str] = Counter()
        self._held: Counter[str] = Counter()
        self._tests: Counter[str] = Counter()
        self._of_client: Counter[str] = Counter()

    def take(self, webhook_id: str, client_id: str, *, test: bool) -> bool:
        if test:
            fits = self._tests[webhook_id] < TESTS_AT_ONCE
        elif webhook_id in self._failing:
            fits = self._awake[webhook_id] < AT_ONCE_WHILE_FAILING and self._held[webhook_id] < HELD_WHILE_FAILING
        else:
            fits = self._awake[webhook_id] < AT_ONCE
        if fits := fits and (test or self._of_client[client_id] < AT_ONCE_OF_CLIENT):
            self.count(webhook_id, client_id, test=test, awake=True)
        return fits

    def count(self, webhook_id: str, client_id: str, *, test: bool, awake: bool) -> None:
        if test:
            self._tests[webhook_id] += awake
            return
        self._held[webhook_id] += 1
        self._awake[webhook_id] += awake
        self._of_client[client_id] += awake


def read_delivery_slots(session: Session, client_ids: Collection[str], now: datetime) -> DeliverySlots:
    """The slots of these clients' webhooks now."""
    hooks = session.execute(select(Webhook.id, Webhook.failing_since).where(Webhook.client_id.in_(client_ids))).all()
    found = DeliverySlots({webhook_id for webhook_id, failing in hooks if failing is not None})
    soon = or_(WebhookDelivery.next_try_at.is_(None), WebhookDelivery.next_try_at <= now + SOON)
    pending = select(
        WebhookDelivery.webhook_id, WebhookDelivery.client_id, WebhookDelivery.kind, soon.label("awake")
    ).where(
        WebhookDelivery.webhook_id.in_([webhook_id for webhook_id, _ in hooks]),
        WebhookDelivery.state == DeliveryState.PENDING.value,
        WebhookDelivery.handed_at.is_not(None),
    )
    for webhook_id, client_id, kind, awake in session.execute(pending):
        found.count(webhook_id, client_id, test=kind == WebhookKind.TEST, awake=bool(awake))
    return found
