"""From a delivery to its receiver, and back into the log: signed, tried again, given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from temporalio.exceptions import ApplicationError

from activities.webhooks.activity import WebhookActivities
from db.engine.session import SessionFactory, in_transaction
from db.tables import Event
from db.webhooks.delivery_log import expire_deliveries
from db.webhooks.delivery_queue import queue_deliveries, queue_test_delivery
from db.webhooks.registration import delete_webhook
from db.webhooks.secret_sealing import Sealer
from domain.webhooks import contract
from domain.webhooks.contract import DELAYS_S, DISABLE_AFTER
from domain.webhooks.event_kinds import WebhookKind
from domain.webhooks.signing import signature
from tests.database_schemas import NOW, unique
from tests.integration.webhook_deliveries import (
    SECRET,
    Clock,
    Receiver,
    a_webhook,
    activities,
    deliver,
    hook,
    log,
    no_webhooks,
    tell,
)

__all__ = ["no_webhooks"]  # a fixture
pytest_plugins = ["tests.database_fixtures"]


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
