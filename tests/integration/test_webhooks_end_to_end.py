"""An event in MySQL, Temporal's own server, our workers, and a receiver on a socket: nothing is played."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from temporalio.client import Client

from activities.webhooks.activity import WebhookActivities
from activities.webhooks.sender import WebhookSender
from db.engine.session import SessionFactory, in_transaction
from db.event_log.writing import NewEvent, append_events
from db.tables import WebhookDelivery
from db.webhooks.registration import create_webhook
from db.webhooks.secret_sealing import Sealer
from domain.names import CONTROL_QUEUE, WEBHOOK_QUEUE
from domain.webhooks import contract
from domain.webhooks.event_kinds import WebhookKind
from domain.webhooks.signing import new_secret, signature
from tests.database_schemas import unique
from worker import make_worker

pytest_plugins = ["tests.database_fixtures"]


@dataclass
class Receiver:
    """Answers 500 to the first of each message, and 200 to what comes again."""

    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    port: int = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head.splitlines()[1:-1])}
        body = await reader.readexactly(int(headers["content-length"]))
        known = headers["webhook-id"] in self.ids
        self.came.append((headers, body))
        status = "200 OK" if known else "500 Not now"
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    @property
    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.came]


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    async with server:
        yield receiver


async def test_an_event_reaches_its_receiver_signed_and_again_after_a_failure(
    sessions: SessionFactory, client_id: str, temporal_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contract, "DELAYS_S", (0.2, 0.2))
    sealer, secret, webhook_id, now = Sealer("k" * 32), new_secret(), unique("whk"), datetime.now(UTC)
    client = await Client.connect(temporal_server)
    work = WebhookActivities(sessions, sealer, WebhookSender(private=True))
    async with (
        receiving() as receiver,
        make_worker(client, CONTROL_QUEUE, [], 2),
        make_worker(client, WEBHOOK_QUEUE, work.all, 4),
    ):
        url, sealed = f"http://127.0.0.1:{receiver.port}/hook", sealer.seal(secret, webhook_id)
        kinds = [WebhookKind.NOTICE, WebhookKind.DECISION]
        in_transaction(
            sessions, lambda session: create_webhook(session, webhook_id, client_id, url, kinds, "", sealed, now)
        )
        events = [NewEvent(f"notice.{kind}", now, payload={"kind": kind}) for kind in ("rebalance", "interruption")]
        in_transaction(sessions, lambda session: append_events(session, client_id, events))
        passes = [f"dispatch-{unique('pass')}" for _ in range(2)]
        for workflow_id in passes:
            await client.execute_workflow(
                contract.DISPATCH_WORKFLOW, contract.CollectEventsInput(), id=workflow_id, task_queue=CONTROL_QUEUE
            )
        with sessions() as session:
            mine = select(WebhookDelivery.id).where(WebhookDelivery.webhook_id == webhook_id)
            ids = list(session.scalars(mine))
        for one in ids:
            await client.get_workflow_handle(contract.delivery_workflow_id(one)).result()
    assert len(ids) == 2
    assert sorted(receiver.ids) == sorted(ids * 2)
    for headers, body in receiver.came:
        signed = signature(secret, headers["webhook-id"], headers["webhook-timestamp"], body)
        assert headers["webhook-signature"] == f"v1,{signed}"
    assert {json.loads(body)["type"] for _, body in receiver.came} == {"notice.rebalance", "notice.interruption"}
    with sessions() as session:
        log = session.scalars(select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)).all()
    assert {(one.state, one.attempts, one.response_code) for one in log} == {("delivered", 2, 200)}
