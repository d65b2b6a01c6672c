"""A watch beats as often as so many may, and EC2 is asked when some of its beats are missing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from temporalio.api.enums.v1 import EventType

from domain import host
from domain.names import server_workflow_id
from tests.workflows.conftest import Given
from tests.workflows.server_under_test import ServerUnderTest, committed
from workflows import timeouts


async def _asked(server: ServerUnderTest) -> list[tuple[timedelta, float]]:
    """Of every watch: its heartbeat timeout, and the beat that it was asked for."""
    history = await server.client.get_workflow_handle(server_workflow_id(server.ref.server_id)).fetch_history()
    found = []
    for event in history.events:
        if event.event_type != EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            continue
        told = event.activity_task_scheduled_event_attributes
        if told.activity_type.name == host.HOST_WATCH:
            (asked,) = await server.client.data_converter.decode(list(told.input.payloads), [host.WatchRequest])
            found.append((told.heartbeat_timeout.ToTimedelta(), asked.beat_s))
    return found


async def test_a_small_fleet_is_watched_closely(given: Given) -> None:
    server = await given()
    committed(await server.switch())
    assert set(await _asked(server)) == {(timedelta(seconds=20), 8.0)}


async def test_of_a_large_one_each_beats_less_often(given: Given, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timeouts.WATCH_PACE, "hosts", 10_000)
    server = await given()
    committed(await server.switch())
    assert set(await _asked(server)) == {(timedelta(seconds=250), 100.0)}
