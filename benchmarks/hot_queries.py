"""The four hot queries, with ten million price rows, a million events and ten thousand servers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.orm import Session

from benchmarks import bulk
from benchmarks.bulk import Made, Size
from benchmarks.figure import Figure, summary
from benchmarks.terms import Terms
from db import schema
from db.market.reading import series_between
from db.queries.instances import get_instance
from db.queries.overview import overview
from db.queries.servers import get_server, pending_of
from db.session import SessionFactory, make_engine, make_session_factory

NAME = "hot_queries"
FULL = Size(servers=10_000, events=1_000_000, prices=10_000_000, pools=400)
QUICK = Size(servers=200, events=2_000, prices=20_000, pools=10)
AIMS_MS = {
    "a server's pending work": 5,
    "instance state": 5,
    "a day of a pool's prices": 20,
    "the dashboard's summary": 50,
    "a server as its page shows it": None,
}
Ask = Callable[[Session, random.Random], object]


def measure(terms: Terms) -> list[Figure]:
    size, times = terms.choose(FULL, QUICK), terms.choose(1000, 20)
    with terms.database() as server:
        schema.upgrade(server.url)
        engine = make_engine(server.url)
        began = time.monotonic()
        made = bulk.fill(engine, size, bulk.today())
        terms.say(f"{NAME}: filled in {time.monotonic() - began:.0f} s")
        sessions = make_session_factory(engine)
        round_trip = summary(_times(sessions, lambda session, _: session.scalar(text("SELECT 1")), times))
        figures = [_figure(terms, sessions, what, ask, times, round_trip, size) for what, ask in _asks(made).items()]
        engine.dispose()
    return figures


def _asks(made: Made) -> dict[str, Ask]:
    def server(chance: random.Random) -> int:
        return chance.randrange(1, made.size.servers + 1)

    def pending(session: Session, chance: random.Random) -> object:
        return pending_of(session, [f"srv-{server(chance)}"])

    def whole(session: Session, chance: random.Random) -> object:
        n = server(chance)
        row = get_server(session, f"cli-{n % bulk.CLIENTS}", f"srv-{n}")
        assert row is not None
        return row

    def instance(session: Session, chance: random.Random) -> object:
        n = server(chance)
        found = get_instance(session, f"cli-{n % bulk.CLIENTS}", f"i-{n}-0")
        assert found is not None
        return found.state

    def day(session: Session, chance: random.Random) -> object:
        zone, kind = chance.choice(made.pools)
        start = made.first_day + timedelta(days=chance.randrange(made.days - 1))
        steps = series_between(session, zone, kind, start, start + timedelta(days=1))
        assert steps
        return steps

    def dashboard(session: Session, chance: random.Random) -> object:
        found = overview(session, f"cli-{chance.randrange(bulk.CLIENTS)}")
        assert found.servers
        return found

    return dict(zip(AIMS_MS, (pending, instance, day, dashboard, whole), strict=True))


def _figure(
    terms: Terms, sessions: SessionFactory, what: str, ask: Ask, times: int, round_trip: dict[str, float], size: Size
) -> Figure:
    measured = summary(_times(sessions, ask, times))
    terms.details[what] = _plans(sessions, ask)
    terms.say(f"{NAME}: {what}: {measured}")
    aim = AIMS_MS[what]
    how = (
        f"{size.prices:,} price rows (half observations over months of partitions, half canonical steps of {size.pools}"
        f" pools), {size.events:,} events, {size.servers:,} servers of {bulk.CLIENTS} clients with their past; each a"
        " session of its own from the pool, one after another, of a server, pool and day drawn anew"
    )
    baseline = "SELECT 1 through such a session"
    words, met = (f"p95 under {aim}", measured["p95"] < aim) if aim else ("none is set", None)
    return Figure(NAME, what, "ms", measured, round_trip, baseline, words, met, how)


def _times(sessions: SessionFactory, ask: Ask, times: int) -> list[float]:
    """Milliseconds each; a tenth as many before them are not counted."""
    chance, taken = random.Random(1), []
    for number in range(-times // 10, times):
        began = time.perf_counter()
        with sessions() as session:
            ask(session, chance)
        if number >= 0:
            taken.append(1000 * (time.perf_counter() - began))
    return taken


def _plans(sessions: SessionFactory, ask: Ask) -> list[dict[str, Any]]:
    """What the database says that it would do: key and rows of every table it reads."""
    with sessions() as session:
        with _noted(session) as statements:
            ask(session, random.Random(1))
        found = []
        for statement, parameters in statements:
            cursor = session.connection().exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters)
            found += [{name: row[name] for name in ("table", "type", "key", "rows")} for row in cursor.mappings()]
        return found


@contextmanager
def _noted(session: Session) -> Iterator[list[tuple[str, Any]]]:
    noted: list[tuple[str, Any]] = []

    def note(_c: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        noted.append((statement, parameters))

    engine = session.get_bind().engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(engine, "before_cursor_execute", note)
