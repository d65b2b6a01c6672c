"""From an event to a delivery: once for each webhook, none missed, and nobody waits for another's."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, text

from db.engine.session import SessionFactory, in_transaction
from db.tables import Client, Event, Webhook, WebhookDelivery
from db.webhooks.delivery_log import list_deliveries
from db.webhooks.delivery_queue import mark_dispatched, next_deliveries, queue_deliveries, queue_test_delivery
from db.webhooks.delivery_slots import AT_ONCE, AT_ONCE_OF_CLIENT, AT_ONCE_WHILE_FAILING, HELD_WHILE_FAILING
from db.webhooks.registration import change_webhook, list_webhooks
from domain.webhooks import contract
from domain.webhooks.event_kinds import WebhookKind
from tests.database_schemas import NOW, unique
from tests.integration.test_db_queries import explained
from tests.integration.webhook_deliveries import (
    Receiver,
    a_webhook,
    activities,
    hook,
    log,
    no_webhooks,
    queue_for_later,
    tell,
)

__all__ = ["no_webhooks"]  # a fixture
pytest_plugins = ["tests.database_fixtures"]


def test_an_event_becomes_one_delivery_of_each_webhook_that_wants_it(sessions: SessionFactory, client_id: str) -> None:
    everything, notices = hook(sessions, client_id), hook(sessions, client_id, WebhookKind.NOTICE)
    tell(sessions, client_id, "notice.interruption", "operation.queued", "operation.step", "operation.needs_attention")
    for _ in range(3):
        queue_deliveries(sessions, NOW)
    assert [one.type for one in log(sessions, everything)] == [
        "notice.interruption",
        "operation.queued",
        "operation.needs_attention",
    ]
    assert [(one.kind, one.state) for one in log(sessions, notices)] == [("notice", "pending")]
    assert log(sessions, everything)[0].payload["payload"] == {"kind": "failover"}


def test_what_happened_before_it_was_made_is_not_told(sessions: SessionFactory, client_id: str) -> None:
    tell(sessions, client_id, "notice.rebalance")
    webhook_id = hook(sessions, client_id)
    queue_deliveries(sessions, NOW)
    assert log(sessions, webhook_id) == []


def test_anothers_events_are_not_told(sessions: SessionFactory, client_id: str) -> None:
    webhook_id, other = hook(sessions, client_id), unique("cli")
    with sessions.begin() as session:
        session.execute(insert(Client).values(id=other, name=other, event_seq=0, created_at=NOW))
    tell(sessions, other, "notice.rebalance")
    queue_deliveries(sessions, NOW)
    assert log(sessions, webhook_id) == []
    with sessions() as session:
        assert list_webhooks(session, other) == []
        assert list_deliveries(session, other, webhook_id).items == []


def test_many_dispatchers_beside_many_writers_tell_each_event_once(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(tell, sessions, client_id, "notice.rebalance") for _ in range(60)]
        feeding = [pool.submit(queue_deliveries, sessions, NOW) for _ in range(20)]
        for written in writing:
            written.result()
        for fed in feeding:
            fed.result()
    queue_deliveries(sessions, NOW)
    with sessions() as session:
        wanted = select(Event.seq).where(Event.client_id == client_id, Event.type == "notice.rebalance")
        seqs = set(session.scalars(wanted))
    found = log(sessions, webhook_id)
    assert [one.event_seq for one in found] == sorted(seqs)
    assert len(found) == 60


def test_more_events_than_one_turn_takes_are_all_told(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, *["notice.rebalance"] * 1203)
    assert queue_deliveries(sessions, NOW) == 1203
    assert len(log(sessions, webhook_id)) == 1203


def test_a_paused_webhook_is_told_what_comes_after_it_is_resumed(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.rebalance")
    queue_deliveries(sessions, NOW)
    in_transaction(sessions, lambda session: change_webhook(session, client_id, webhook_id, NOW, active=False))
    tell(sessions, client_id, "notice.rebalance")
    queue_deliveries(sessions, NOW)
    assert [one.state for one in log(sessions, webhook_id)] == ["dropped"]
    in_transaction(sessions, lambda session: change_webhook(session, client_id, webhook_id, NOW, active=True))
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    assert [(one.type, one.state) for one in log(sessions, webhook_id)] == [
        ("notice.rebalance", "dropped"),
        ("notice.interruption", "pending"),
    ]


def test_expired_events_leave_a_gap_and_the_rest_is_told(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.rebalance", "notice.rebalance", "notice.interruption")
    with sessions.begin() as session:
        session.execute(
            text("DELETE FROM events WHERE client_id = :id AND type <> 'notice.interruption'"), {"id": client_id}
        )
    queue_deliveries(sessions, NOW)
    queue_deliveries(sessions, NOW)
    assert [one.type for one in log(sessions, webhook_id)] == ["notice.interruption"]


def test_what_waits_is_named_until_it_has_its_workflow(sessions: SessionFactory, client_id: str) -> None:
    hook(sessions, client_id)
    tell(sessions, client_id, "notice.rebalance", "notice.interruption")
    work = activities(sessions, Receiver())
    first = asyncio.run(work.collect(contract.CollectEventsInput()))
    again = asyncio.run(work.collect(contract.CollectEventsInput()))
    assert (first.made, again.made) == (2, 0)
    assert first.waiting == again.waiting
    asyncio.run(work.handed(contract.MarkHandedOverInput([one.delivery_id for one in first.waiting])))
    assert asyncio.run(work.collect(contract.CollectEventsInput())).waiting == []


def test_one_webhook_that_lies_behind_keeps_no_other_waiting(sessions: SessionFactory, client_id: str) -> None:
    slow = hook(sessions, client_id, WebhookKind.NOTICE)
    tell(sessions, client_id, *["notice.rebalance"] * 100)
    queue_deliveries(sessions, NOW)
    other = hook(sessions, client_id, WebhookKind.DECISION)
    tell(sessions, client_id, "decision.proposed")
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        found = [one.delivery_id for one in next_deliveries(session, 30, NOW)]
        mark_dispatched(session, found, NOW)
    by = {one.id: one.webhook_id for one in (*log(sessions, slow), *log(sessions, other))}
    whose = [by[one] for one in found]
    assert (whose.count(slow), whose.count(other)) == (AT_ONCE, 1)
    with sessions() as session:
        assert next_deliveries(session, 30, NOW) == [], "so many are under way"


def test_a_failing_webhook_has_few_under_way(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, *["notice.rebalance"] * 10)
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        session.get_one(Webhook, webhook_id).failing_since = NOW
    with sessions() as session:
        assert len(next_deliveries(session, 30, NOW)) == AT_ONCE_WHILE_FAILING


def test_what_waits_for_a_later_attempt_keeps_nothing_new_waiting(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    queue_for_later(sessions, client_id, webhook_id, AT_ONCE + 5)
    tell(sessions, client_id, *["notice.interruption"] * 3)
    queue_deliveries(sessions, NOW)
    with sessions() as session:
        assert len(next_deliveries(session, 30, NOW)) == AT_ONCE_WHILE_FAILING, "something new tries the receiver"
    with sessions.begin() as session:
        session.get_one(Webhook, webhook_id).failing_since = None
    with sessions() as session:
        assert len(next_deliveries(session, 30, NOW)) == 3, "it answers again"
    with sessions() as session:
        about = NOW + timedelta(hours=8)
        assert next_deliveries(session, 30, about) == [], "now they are due themselves"


def test_a_failing_webhook_holds_only_so_many_but_a_test_gets_through(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    queue_for_later(sessions, client_id, webhook_id, HELD_WHILE_FAILING)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    with sessions() as session:
        assert next_deliveries(session, 30, NOW) == []
    row, message = a_webhook(sessions, webhook_id), unique("msg")
    in_transaction(sessions, lambda session: queue_test_delivery(session, row, message, NOW))
    with sessions() as session:
        assert next_deliveries(session, 30, NOW) == [contract.DeliverInput(message, client_id)]


def test_a_client_with_many_webhooks_has_no_more_under_way_than_its_share(
    sessions: SessionFactory, client_id: str
) -> None:
    for _ in range(4):
        hook(sessions, client_id, WebhookKind.NOTICE)
    tell(sessions, client_id, *["notice.rebalance"] * 30)
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        found = next_deliveries(session, 200, NOW)
        mark_dispatched(session, [one.delivery_id for one in found], NOW)
    assert len(found) == AT_ONCE_OF_CLIENT
    assert {one.client_id for one in found} == {client_id}
    with sessions() as session:
        assert next_deliveries(session, 200, NOW) == []


def test_webhooks_that_have_no_room_fill_no_dispatch(sessions: SessionFactory, client_id: str) -> None:
    full = hook(sessions, client_id, WebhookKind.NOTICE)
    queue_for_later(sessions, client_id, full, HELD_WHILE_FAILING)
    tell(sessions, client_id, "notice.rebalance")
    queue_deliveries(sessions, NOW)
    other = hook(sessions, client_id, WebhookKind.DECISION)
    tell(sessions, client_id, "decision.proposed")
    queue_deliveries(sessions, NOW)
    [wanted] = log(sessions, other)
    with sessions() as session:
        assert next_deliveries(session, 1, NOW) == [contract.DeliverInput(wanted.id, client_id)]


def test_no_query_of_webhooks_reads_a_whole_table(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    row = {
        "kind": "notice",
        "type": "notice.rebalance",
        "payload": {},
        "attempts": 1,
        "error": "",
        "state": "delivered",
    }
    with sessions.begin() as session:
        session.execute(insert(Webhook), [_another(n) for n in range(1000)])
        session.execute(
            insert(WebhookDelivery),
            [
                {
                    "id": f"msg_{n}",
                    "webhook_id": webhook_id if n % 50 == 0 else f"whk-{n % 100}",
                    "client_id": client_id if n % 50 == 0 else "cli-x",
                    "event_seq": 1000 + n,
                    "created_at": NOW - timedelta(minutes=n),
                    "handed_at": None if n % 300 == 0 else NOW,
                    "state": "delivered",
                    **row,
                }
                for n in range(5000)
            ],
        )
    with sessions.begin() as session:
        session.execute(text("ANALYZE TABLE webhooks, webhook_deliveries"))
    with sessions() as session, explained(session) as scans:
        assert list_webhooks(session, client_id)
        assert list_deliveries(session, client_id, webhook_id, limit=5).items
        assert next_deliveries(session, 20, NOW)
    assert scans == []


def _another(n: int) -> dict[str, Any]:
    fixed = {
        "url": "https://x.example.com",
        "label": "",
        "kinds": [],
        "state": "active",
        "secret_sealed": "",
        "why": "",
    }
    return {"id": f"whk-{n}", "client_id": f"cli-{n}", "seen_seq": 0, "created_at": NOW, "updated_at": NOW, **fixed}
