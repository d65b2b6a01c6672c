"""Made-up savings and webhooks: rows straight into the database, for the fleets of proof.harness.fleet_rows."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from db.engine.bulk import insert_rows
from db.savings.booking import SUMS, mark_accrued
from db.tables import Instance, SavingsDay, SavingsEntry, SavingsHour, WebhookDelivery
from db.webhooks.registration import create_webhook
from domain.savings.amounts import Amounts
from domain.savings.ledger import EntryReason
from proof.harness.fleet_rows import ON_DEMAND

HOUR = timedelta(hours=1)
_MICRO = 1_000_000


@dataclass
class BookedSavings:
    """What was booked, by hour and server. The page's sums have to equal it."""

    entries: dict[tuple[datetime, str], Amounts] = field(default_factory=dict)

    def since(self, start: datetime, server_id: str | None = None) -> Amounts:
        found = Amounts()
        for (hour, owner), amounts in self.entries.items():
            if hour >= start and server_id in (None, owner):
                found = found.plus(amounts)
        return found


def seed_savings(session: Session, client_id: str, days: int, *, seed: int = 7) -> BookedSavings:
    """Write an entry for each hour of each server of the client, up to now, and the stored sums.

    Every third server always has a replica. Each server moves once a day, with an overlap.
    """
    draw, now = random.Random(f"savings/{seed}/{client_id}"), datetime.now(UTC)
    ledger = BookedSavings()
    primaries = session.scalars(select(Instance).where(Instance.client_id == client_id).order_by(Instance.server_id))
    for number, primary in enumerate(primaries.all()):
        hour = max(primary.created_at, now - timedelta(days=days)).replace(minute=0, second=0, microsecond=0)
        while hour <= now:
            part = min(1.0, (now - hour) / HOUR)
            ledger.entries[hour, primary.server_id] = _amounts(draw, primary, number, hour, part)
            hour += HOUR
    _keep(session, client_id, ledger, now)
    return ledger


def _amounts(draw: random.Random, primary: Instance, number: int, hour: datetime, part: float) -> Amounts:
    paid = round((primary.usd_per_hour or 0) * draw.uniform(0.97, 1.03) * part * _MICRO)
    moves = hour.hour == number % 24
    return Amounts(
        primary=paid,
        replica=round(paid * 0.9) if number % 3 == 2 else 0,
        overlap=round(paid * 0.05) if moves else 0,
        snapshot=round(1500 * part) if number % 4 == 1 else 0,
        on_demand=round(ON_DEMAND[primary.instance_type] * part * _MICRO),
    )


def _keep(session: Session, client_id: str, ledger: BookedSavings, now: datetime) -> None:
    hours: defaultdict[tuple[Any, ...], Amounts] = defaultdict(Amounts)
    days: defaultdict[tuple[Any, ...], Amounts] = defaultdict(Amounts)
    entries: list[tuple[Any, ...]] = []
    for (hour, server_id), amounts in ledger.entries.items():
        until = min(now, hour + HOUR)
        entries.append((server_id, hour, 0, client_id, *amounts, until, EntryReason.ACCRUAL.value, now))
        hours[client_id, hour] = hours[client_id, hour].plus(amounts)
        day = (client_id, hour.replace(hour=0), server_id)
        days[day] = days[day].plus(amounts)
    columns = ("server_id", "hour", "number", "client_id", *SUMS, "until_at", "reason", "recorded_at")
    insert_rows(session, SavingsEntry.__tablename__, columns, entries)
    for table, head, sums in (
        (SavingsHour, ("client_id", "hour"), hours),
        (SavingsDay, ("client_id", "day", "server_id"), days),
    ):
        insert_rows(session, table.__tablename__, (*head, *SUMS), [(*key, *one) for key, one in sums.items()])
    mark_accrued(session, now)


def seed_webhooks(session: Session, client_id: str) -> list[str]:
    """Write a webhook with deliveries of every outcome, and a disabled one; returns their IDs."""
    now = datetime.now(UTC)
    pager, chat = f"whk-{client_id[-8:]}-1", f"whk-{client_id[-8:]}-2"
    kinds = ["attention", "failover", "notice"]
    create_webhook(session, pager, client_id, "https://hooks.example.com/spot/pager", kinds, "On call", "", now)
    broken = create_webhook(session, chat, client_id, "https://chat.example.com/in/7f2a", ["summary"], "", "", now)
    broken.state, broken.why = "disabled", "nothing but failures for 5 days; the last: HTTP 502"
    session.execute(insert(WebhookDelivery), [_delivery(pager, client_id, now, n, *one) for n, one in enumerate(_LOG)])
    return [pager, chat]


_LOG: tuple[tuple[str, str, str, int, int | None, int | None, str], ...] = (
    ("test", "webhook.test", "delivered", 1, 200, 84, ""),
    ("notice", "notice.rebalance", "pending", 2, 503, 1_240, "the receiver answered 503"),
    ("failover", "operation.committed", "delivered", 1, 204, 131, ""),
    ("attention", "operation.needs_attention", "failed", 15, None, 10_000, "no answer within 10 s"),
    ("notice", "notice.interruption", "dropped", 0, None, None, ""),
)


def _delivery(
    webhook_id: str,
    client_id: str,
    now: datetime,
    number: int,
    kind: str,
    type_: str,
    state: str,
    attempts: int,
    code: int | None,
    ms: int | None,
    error: str,
) -> dict[str, Any]:
    at = now - timedelta(minutes=3 + 47 * number)
    waits = state == "pending"
    return {
        "id": f"msg-{webhook_id}-{number}",
        "webhook_id": webhook_id,
        "client_id": client_id,
        "event_seq": None if kind == "test" else number,
        "kind": kind,
        "type": type_,
        "payload": {},
        "state": state,
        "attempts": attempts,
        "response_code": code,
        "duration_ms": ms,
        "error": error,
        "created_at": at,
        "handed_at": at,
        "next_try_at": now + timedelta(minutes=10) if waits else None,
        "finished_at": None if waits else at,
    }
