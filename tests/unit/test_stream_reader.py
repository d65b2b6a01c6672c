"""A stream's side of the hub: what is pending, and a sign of life when nothing is."""

from __future__ import annotations

import asyncio

from api.streams.hub import Reader, StreamEvent

EVENT = StreamEvent(1, "operation.step", "op-1", b"id: 1\n\n")


async def test_silence_is_told_each_time_it_lasts_and_not_after_events() -> None:
    reader = Reader("client", limit=10)
    assert [await reader.take(0.01), await reader.take(0.01)] == [[], []]
    reader.offer([EVENT])
    assert await reader.take(0.01) == [EVENT]
    assert await reader.take(0.01) == []
    reader.leave()


async def test_an_event_restarts_the_wait_for_a_sign_of_life() -> None:
    reader, loop = Reader("client", limit=10), asyncio.get_running_loop()
    loop.call_later(0.1, reader.offer, [EVENT])
    assert await reader.take(0.15) == [EVENT]
    began = loop.time()
    assert await reader.take(0.15) == []
    assert loop.time() - began >= 0.15
    reader.leave()
