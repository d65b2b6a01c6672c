"""Invariant 8: every change is one event, in order, and a reader misses none."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from db.clients.clients import create_client
from db.engine.session import SessionFactory, in_transaction, is_deadlock, is_unreachable
from db.event_log.reading import events_after, heads_query, latest_seq
from db.event_log.writing import NewEvent, UnknownClient, append_events, expire_events
from db.status.invariants import clients_with_missing_events
from db.tables import Event
from tests.database_schemas import NOW

pytest_plugins = ["tests.database_fixtures"]

WRITERS, BATCHES = 8, 30


def numbered(client_id: str, *numbers: int) -> list[NewEvent]:
    return [NewEvent("server.policy", NOW, server_id=client_id, payload={"n": n}) for n in numbers]


def write(sessions: SessionFactory, client_id: str, *numbers: int) -> int:
    return in_transaction(sessions, lambda s: append_events(s, client_id, numbered(client_id, *numbers)))


def test_a_reader_beside_eight_writers_misses_none(sessions: SessionFactory, client_id: str) -> None:
    """Each writer's transactions end in another order than they began; a fifth of them is rolled back."""
    finished = threading.Event()
    started = threading.Barrier(WRITERS + 1)
    seen: list[tuple[int, int]] = []

    def writes(writer: int) -> int:
        started.wait()
        return sum(_write_or_roll_back(sessions, client_id, writer * 1000 + n) for n in range(BATCHES))

    def reads() -> None:
        started.wait()
        while True:
            last_look = finished.is_set()
            with sessions() as session:
                page = events_after(session, client_id, seen[-1][0] if seen else 1, limit=7)
            assert not page.gap
            seen.extend((event.seq, event.payload["n"]) for event in page.events)
            if last_look and not page.events:
                return

    with ThreadPoolExecutor(WRITERS + 1) as pool:
        reader = pool.submit(reads)
        try:
            written = sum(pool.map(writes, range(WRITERS)))
        finally:
            finished.set()  # whatever became of the writers: a reader that goes on would never let this test end
        reader.result(timeout=60)
    assert [seq for seq, _ in seen] == list(range(2, written + 2))
    assert len({n for _, n in seen}) == written
    with sessions() as session:
        assert clients_with_missing_events(session) == []


class _ChangedItsMindError(Exception):
    pass


def _write_or_roll_back(sessions: SessionFactory, client_id: str, number: int) -> int:
    count = 1 + number % 3
    try:
        with sessions.begin() as session:
            append_events(session, client_id, numbered(client_id, *(number * 10 + i for i in range(count))))
            if number % 5 == 0:
                raise _ChangedItsMindError
    except _ChangedItsMindError:
        return 0
    except DBAPIError as error:  # a slow disk under eight writers: the wait for the client's row may end first
        if not (is_deadlock(error) or is_unreachable(error)):
            raise
        return 0
    return count


def test_an_uncommitted_number_is_not_passed_by_a_later_one(sessions: SessionFactory, client_id: str) -> None:
    """The interleaving that auto-increment loses: 2 is given first and committed last."""
    with sessions() as slow:
        append_events(slow, client_id, numbered(client_id, 1))
        with ThreadPoolExecutor(1) as pool:
            later = pool.submit(write, sessions, client_id, 2)
            with sessions() as reader:
                assert events_after(reader, client_id, 1).events == []
            assert not later.done()
            slow.commit()
            assert later.result(timeout=60) == 3
    with sessions() as reader:
        assert [e.payload["n"] for e in events_after(reader, client_id, 1).events] == [1, 2]


def test_clients_do_not_wait_for_each_other(sessions: SessionFactory, client_id: str) -> None:
    with sessions.begin() as session:
        create_client(session, client_id + "-b", "b", NOW)
    with sessions() as slow:
        append_events(slow, client_id, numbered(client_id, 1))
        assert write(sessions, client_id + "-b", 1) == 2


def test_one_question_tells_how_far_the_streams_have_come(sessions: SessionFactory, client_id: str) -> None:
    for heads in ({client_id: 1}, {client_id: 3}):
        with sessions() as session:
            assert dict(session.execute(heads_query([client_id, "nobody"])).all()) == heads
            assert latest_seq(session, client_id) == heads[client_id]
            assert session.execute(heads_query([])).all() == []
        write(sessions, client_id, 1, 2)


def test_an_event_of_nobody_is_refused(session: Session) -> None:
    with pytest.raises(UnknownClient, match="cli-none"):
        append_events(session, "cli-none", numbered("cli-none", 1))


def test_the_stream_of_one_operation_is_part_of_the_clients(sessions: SessionFactory, client_id: str) -> None:
    mine, other = (NewEvent("operation.step", NOW, operation_id=op) for op in (f"op-{client_id}", "op-other"))
    with sessions.begin() as session:
        append_events(session, client_id, [mine, other, mine])
    with sessions() as session:
        assert [e.seq for e in events_after(session, client_id, 1, operation_id=f"op-{client_id}").events] == [2, 4]


def test_a_reader_behind_what_expired_is_told(sessions: SessionFactory, client_id: str) -> None:
    write(sessions, client_id, *range(2, 11))
    _age(sessions, client_id, up_to=6)
    assert expire_events(sessions, datetime.now(UTC) - timedelta(days=1), batch=4) == 6
    with sessions() as session:
        behind, just, at_end = (events_after(session, client_id, seq) for seq in (4, 6, 10))
    assert (behind.gap, behind.oldest_seq) == (True, 7)
    assert (just.gap, [e.seq for e in just.events]) == (False, [7, 8, 9, 10])
    assert (at_end.gap, at_end.events, at_end.latest_seq) == (False, [], 10)


def test_when_everything_expired_only_the_newest_reader_goes_on(sessions: SessionFactory, client_id: str) -> None:
    write(sessions, client_id, 2, 3)
    with sessions.begin() as session:
        session.execute(delete(Event).where(Event.client_id == client_id))
    with sessions() as session:
        behind, at_end, ahead = (events_after(session, client_id, seq) for seq in (2, 3, 9))
    assert (behind.gap, behind.oldest_seq) == (True, 4)
    assert not at_end.gap
    assert ahead.gap


def test_an_event_recorded_late_does_not_tear_a_hole_when_it_expires(sessions: SessionFactory, client_id: str) -> None:
    """Records caught up after an outage happened long ago; they expire by when they were written."""
    long_ago = NewEvent("instance.launching", NOW - timedelta(days=400))
    with sessions.begin() as session:
        append_events(session, client_id, [long_ago])
    assert expire_events(sessions, datetime.now(UTC) - timedelta(days=300)) == 0
    with sessions() as session:
        assert len(events_after(session, client_id, 0).events) == 2


def _age(sessions: SessionFactory, client_id: str, up_to: int) -> None:
    with sessions.begin() as session:
        old = update(Event).where(Event.client_id == client_id, Event.seq <= up_to)
        session.execute(old.values(recorded_at=text("UTC_TIMESTAMP(6) - INTERVAL 2 DAY")))
        assert session.scalar(select(Event.recorded_at).where(Event.client_id == client_id).limit(1)) is not None
