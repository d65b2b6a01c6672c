"""From an event to a receiver, and back into the log: once each, none missed, whatever fails in between."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from temporalio.exceptions import ApplicationError

from activities.webhooks.activity import WebhookActivities
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import NewEvent, append_events
from db.tables import Client, Event, Webhook, WebhookDelivery
from db.webhooks.delivery_log import AttemptResult, expire_deliveries, list_deliveries
from db.webhooks.delivery_queue import mark_dispatched, next_deliveries, queue_deliveries, queue_test_delivery
from db.webhooks.delivery_slots import AT_ONCE, AT_ONCE_OF_CLIENT, AT_ONCE_WHILE_FAILING, HELD_WHILE_FAILING
from db.webhooks.registration import change_webhook, create_webhook, delete_webhook, list_webhooks
from db.webhooks.secret_sealing import Sealer
from domain.webhooks import contract
from domain.webhooks.contract import DELAYS_S, DISABLE_AFTER
from domain.webhooks.event_kinds import CHOICES, WebhookKind
from domain.webhooks.signing import signature
from tests.database_schemas import NOW, unique
from tests.integration.test_db_queries import explained

pytest_plugins = ["tests.database_fixtures"]

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
def _no_webhooks(sessions: SessionFactory) -> None:
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


# --- from events to deliveries


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


# --- handing over


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


def _asleep(sessions: SessionFactory, client_id: str, webhook_id: str, count: int) -> None:
    """So many wait for an attempt hours away, and the receiver has done nothing but fail."""
    tell(sessions, client_id, *["notice.rebalance"] * count)
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        for row in session.scalars(select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)):
            row.handed_at, row.attempts, row.next_try_at = NOW, 9, NOW + timedelta(hours=8)
        session.get_one(Webhook, webhook_id).failing_since = NOW - timedelta(hours=8)


def test_what_waits_for_a_later_attempt_keeps_nothing_new_waiting(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    _asleep(sessions, client_id, webhook_id, AT_ONCE + 5)
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
    _asleep(sessions, client_id, webhook_id, HELD_WHILE_FAILING)
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
    _asleep(sessions, client_id, full, HELD_WHILE_FAILING)
    tell(sessions, client_id, "notice.rebalance")
    queue_deliveries(sessions, NOW)
    other = hook(sessions, client_id, WebhookKind.DECISION)
    tell(sessions, client_id, "decision.proposed")
    queue_deliveries(sessions, NOW)
    [wanted] = log(sessions, other)
    with sessions() as session:
        assert next_deliveries(session, 1, NOW) == [contract.DeliverInput(wanted.id, client_id)]


# --- attempts


async def test_a_message_is_signed_delivered_and_in_the_log(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    [row] = log(sessions, webhook_id)
    receiver = Receiver()
    work = activities(sessions, receiver)
    assert await deliver(work, row.id) == contract.DeliverResult("delivered", 1)
    [(url, headers, body)] = receiver.came
    assert url == "https://hooks.example.com/x"
    assert headers["webhook-id"] == row.id
    signed = signature(SECRET, row.id, headers["webhook-timestamp"], body)
    assert headers["webhook-signature"] == f"v1,{signed}"
    [done] = log(sessions, webhook_id)
    assert (done.state, done.attempts, done.response_code, done.duration_ms) == ("delivered", 1, 200, 12)
    assert await deliver(work, row.id) == contract.DeliverResult("delivered", 1)
    assert len(receiver.came) == 1, "what is delivered is not sent again"


async def test_a_failed_attempt_comes_again_when_it_is_due_with_the_same_id(
    sessions: SessionFactory, client_id: str
) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    [row] = log(sessions, webhook_id)
    receiver = Receiver([500, None, 200])
    work = activities(sessions, receiver)
    for delay, code in zip(DELAYS_S[:2], (500, None), strict=True):
        failed = await deliver(work, row.id)
        assert isinstance(failed, ApplicationError)
        assert failed.next_retry_delay == timedelta(seconds=delay)
        [standing] = log(sessions, webhook_id)
        assert (standing.state, standing.response_code) == ("pending", code)
        assert standing.next_try_at == NOW + timedelta(seconds=delay)
    assert a_webhook(sessions, webhook_id).failing_since == NOW
    assert await deliver(work, row.id) == contract.DeliverResult("delivered", 3)
    assert {headers["webhook-id"] for _, headers, _ in receiver.came} == {row.id}
    assert {body for _, _, body in receiver.came} == {receiver.came[0][2]}
    assert a_webhook(sessions, webhook_id).failing_since is None


async def test_a_delivery_is_given_up_after_its_last_attempt(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    [row] = log(sessions, webhook_id)
    work = activities(sessions, Receiver([503] * 99))
    for _ in range(len(DELAYS_S)):
        assert isinstance(await deliver(work, row.id), ApplicationError)
    assert await deliver(work, row.id) == contract.DeliverResult("failed", len(DELAYS_S) + 1)
    [done] = log(sessions, webhook_id)
    assert (done.state, done.next_try_at, done.finished_at) == ("failed", None, NOW)


@pytest.mark.parametrize("gone", [True, False])
async def test_a_webhook_that_does_nothing_but_fail_is_disabled_with_an_event(
    sessions: SessionFactory, client_id: str, gone: bool
) -> None:
    webhook_id, clock = hook(sessions, client_id), Clock()
    tell(sessions, client_id, "notice.interruption", "notice.rebalance")
    queue_deliveries(sessions, NOW)
    first, second = log(sessions, webhook_id)
    work = activities(sessions, Receiver([410] if gone else [500, 500]), clock)
    await deliver(work, first.id)
    if not gone:
        assert a_webhook(sessions, webhook_id).state == "active"
        clock.now += DISABLE_AFTER
        await deliver(work, first.id)
    found = a_webhook(sessions, webhook_id)
    assert found.state == "disabled"
    assert ("410" in found.why) is gone
    assert {one.state for one in log(sessions, webhook_id)} == {"dropped"}
    assert await deliver(work, second.id) == contract.DeliverResult("dropped", 0)
    with sessions() as session:
        told = select(Event.payload).where(Event.client_id == client_id, Event.type == "webhook.disabled")
        [payload] = session.scalars(told).all()
    assert payload["webhook_id"] == webhook_id
    assert "secret" not in str(payload)


async def test_a_webhook_that_was_deleted_is_sent_nothing(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    [row] = log(sessions, webhook_id)
    assert in_transaction(sessions, lambda session: delete_webhook(session, client_id, webhook_id, NOW))
    receiver = Receiver()
    assert await deliver(activities(sessions, receiver), row.id) == contract.DeliverResult("dropped", 0)
    assert receiver.came == []


async def test_a_secret_sealed_under_another_key_sends_nothing_and_says_why(
    sessions: SessionFactory, client_id: str
) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption")
    queue_deliveries(sessions, NOW)
    receiver = Receiver()
    work = WebhookActivities(sessions, Sealer("o" * 32), receiver, Clock())
    assert isinstance(await deliver(work, log(sessions, webhook_id)[0].id), ApplicationError)
    assert receiver.came == []
    assert "SPOT_SIGNING_KEY" in log(sessions, webhook_id)[0].error


async def test_a_test_goes_to_a_webhook_of_any_kinds(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id, WebhookKind.SUMMARY)
    row = a_webhook(sessions, webhook_id)
    in_transaction(sessions, lambda session: queue_test_delivery(session, row, unique("msg"), NOW))
    in_transaction(sessions, lambda session: queue_test_delivery(session, row, unique("msg"), NOW))
    receiver = Receiver()
    work = activities(sessions, receiver)
    found = await work.collect(contract.CollectEventsInput())
    for one in found.waiting:
        await deliver(work, one.delivery_id)
    assert [b'"type":"webhook.test"' in body for _, _, body in receiver.came] == [True, True]


def test_old_deliveries_that_are_over_expire(sessions: SessionFactory, client_id: str) -> None:
    webhook_id = hook(sessions, client_id)
    tell(sessions, client_id, "notice.interruption", "notice.rebalance")
    queue_deliveries(sessions, NOW)
    with sessions.begin() as session:
        session.execute(text("UPDATE webhook_deliveries SET state = 'delivered' WHERE type = 'notice.rebalance'"))
    assert expire_deliveries(sessions, NOW) == 0
    assert expire_deliveries(sessions, NOW + timedelta(seconds=1)) == 1
    assert [one.state for one in log(sessions, webhook_id)] == ["pending"]


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
