"""The reader of the event stream counts by the numbers alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from proof.harness.follower import Event, EventTally, parse_events


async def lines(text: str) -> AsyncIterator[str]:
    for line in text.split("\n"):
        yield line


def frame(seq: int, **more: object) -> str:
    found = {"seq": seq, "type": "operation.step", "operation_id": "op-1", "server_id": None, **more}
    return f"event: operation.step\ndata: {json.dumps(found)}\nid: {seq}\n\n"


async def read(text: str) -> list[Event]:
    return [event async for event in parse_events(lines(text))]


async def test_events_are_read_and_comments_passed_over() -> None:
    text = "retry: 1000\n\n: waiting\n\n" + frame(1, payload={"step": "fence"}) + frame(2)
    first, second = await read(text)
    assert (first.seq, first.operation_id, first.server_id, first.payload) == (1, "op-1", "", {"step": "fence"})
    assert second.seq == 2


async def test_a_reset_is_no_event_and_what_it_skips_is_missed() -> None:
    events = await read(frame(1) + 'event: reset\ndata: {"oldest": 5}\nid: 4\n\n' + frame(5))
    tally = EventTally()
    assert [tally.count(event.seq) for event in events] == [True, True]
    assert tally.missed == 3


def test_numbers_without_a_gap_miss_nothing() -> None:
    tally = EventTally()
    assert all(tally.count(seq) for seq in (1, 2, 3))
    assert tally.missed_by(3) == 0


def test_a_gap_and_an_unread_end_are_missed() -> None:
    tally = EventTally()
    for seq in (1, 2, 5):
        tally.count(seq)
    assert tally.missed == 2
    assert tally.missed_by(9) == 6


def test_what_comes_twice_is_counted_once() -> None:
    tally = EventTally()
    assert [tally.count(seq) for seq in (1, 2, 2, 3)] == [True, True, False, True]
    assert (tally.repeated, tally.missed) == (1, 0)
