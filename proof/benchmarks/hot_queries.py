"""The four hot queries, with ten million price rows, a million events and ten thousand servers."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.orm import Session

from db.engine import schema
from db.engine.session import SessionFactory, make_engine, make_session_factory
from db.fleet.instances import get_instance
from db.fleet.servers import get_server, pending_of
from db.market.canonical import series_between
from db.status.summary import summary as summary_of
from proof.benchmarks import bulk_rows
from proof.benchmarks.bulk_rows import FilledDatabase, FleetSize
from proof.benchmarks.counters import pages_from_disk
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.setup import MeasureSetup

NAME = "hot_queries"
FULL = FleetSize(servers=10_000, events=1_000_000, prices=10_000_000, pools=400)
QUICK = FleetSize(servers=200, events=2_000, prices=20_000, pools=10)
AIMS_MS = {
    "a server's pending work": 5,
    "instance state": 5,
    "a day of a pool's prices": 20,
    "the dashboard's summary": 50,
    "a server as its page shows it": None,
}
BASELINE = "SELECT 1 through such a session, by turns with it"
HotQuery = Callable[[Session, random.Random], object]


def measure(setup: MeasureSetup) -> list[Figure]:
    size, times = setup.choose(FULL, QUICK), setup.choose(1000, 20)
    with setup.database() as server:
        schema.upgrade(server.url)
        engine = make_engine(server.url)
        began = time.monotonic()
        made = bulk_rows.fill(engine, size, bulk_rows.today())
        setup.say(f"{NAME}: filled in {time.monotonic() - began:.0f} s")
        how = _how(engine, size)
        figures = [_figure(setup, engine, what, ask, times, how) for what, ask in _asks(made).items()]
        engine.dispose()
    return figures


def _asks(made: FilledDatabase) -> dict[str, HotQuery]:
    def server(chance: random.Random) -> int:
        return chance.randrange(1, made.size.servers + 1)

    def pending(session: Session, chance: random.Random) -> object:
        return pending_of(session, [f"srv-{server(chance)}"])

    def whole(session: Session, chance: random.Random) -> object:
        n = server(chance)
        row = get_server(session, f"cli-{n % bulk_rows.CLIENTS}", f"srv-{n}")
        assert row is not None
        return row

    def instance(session: Session, chance: random.Random) -> object:
        n = server(chance)
        found = get_instance(session, f"cli-{n % bulk_rows.CLIENTS}", f"i-{n}-0")
        assert found is not None
        return found.state

    def day(session: Session, chance: random.Random) -> object:
        zone, kind = chance.choice(made.pools)
        start = made.first_day + timedelta(days=chance.randrange(made.days - 1))
        steps = series_between(session, zone, kind, start, start + timedelta(days=1))
        assert steps
        return steps

    def dashboard(session: Session, chance: random.Random) -> object:
        at = made.month.until - timedelta(seconds=1)
        found = summary_of(session, f"cli-{chance.randrange(bulk_rows.CLIENTS)}", at)
        assert found.record.switches
        assert found.this_month.cost > found.this_day.cost > 0
        return found

    return dict(zip(AIMS_MS, (pending, instance, day, dashboard, whole), strict=True))


def _figure(setup: MeasureSetup, engine: Engine, what: str, ask: HotQuery, times: int, how: str) -> Figure:
    measured, round_trip = _measured(engine, ask, times)
    setup.details[what] = _plans(engine, ask)
    setup.say(f"{NAME}: {what}: {measured}, meanwhile SELECT 1: {round_trip}")
    aim = AIMS_MS[what]
    words, met = (f"p95 under {aim}", measured["p95"] < aim) if aim else ("none is set", None)
    because = f"SELECT 1 alone took p95 {round_trip['p95']:g} ms meanwhile" if met is False else ""
    return Figure(NAME, what, "ms", measured, round_trip, BASELINE, words, met, how, because)


def _how(engine: Engine, size: FleetSize) -> str:
    with engine.connect() as connection:
        buffer_mib = int(connection.execute(text("SELECT @@innodb_buffer_pool_size")).scalar_one()) >> 20
    return (
        f"{size.prices:,} price rows (half observations over months of partitions, half canonical steps of {size.pools}"
        f" pools), {size.events:,} events, {size.servers:,} servers of {bulk_rows.CLIENTS} clients with their past;"
        " each a session of its own from the pool, one after another, of a server, pool and day drawn anew;"
        " processor: what the asking process itself worked at one; disk reads: pages that one needed and that were not"
        f" among the {buffer_mib} MiB in the database's memory"
    )


def _measured(engine: Engine, ask: HotQuery, times: int) -> tuple[dict[str, float], dict[str, float]]:
    """Milliseconds of the query and of SELECT 1, by turns, so that both meet the same load."""
    sessions = make_session_factory(engine)
    chance, asked, beside = random.Random(1), [], []
    for _ in range(times // 10):  # not counted: afterwards everything they need is in memory
        _ask(sessions, ask, chance)
    read = pages_from_disk(engine)
    for _ in range(times):
        beside.append(_ask(sessions, _nothing, chance))
        asked.append(_ask(sessions, ask, chance))
    read = pages_from_disk(engine) - read
    return _summary(asked) | {"disk reads": round(read / times, 2)}, _summary(beside)


def _nothing(session: Session, _: random.Random) -> object:
    return session.scalar(text("SELECT 1"))


def _ask(sessions: SessionFactory, ask: HotQuery, chance: random.Random) -> tuple[float, float]:
    """Milliseconds that it took, and that this process used the processor."""
    worked, began = time.process_time(), time.perf_counter()
    with sessions() as session:
        ask(session, chance)
    return 1000 * (time.perf_counter() - began), 1000 * (time.process_time() - worked)


def _summary(taken: Sequence[tuple[float, float]]) -> dict[str, float]:
    worked = sum(ms for _, ms in taken) / len(taken)
    return summary([ms for ms, _ in taken]) | {"processor ms": round(worked, 2)}


def _plans(engine: Engine, ask: HotQuery) -> list[dict[str, Any]]:
    """The database's plan: key and rows of every table it reads."""
    with make_session_factory(engine)() as session:
        with _noted(engine) as statements:
            ask(session, random.Random(1))
        found = []
        for statement, parameters in statements:
            cursor = session.connection().exec_driver_sql(f"EXPLAIN FORMAT=TRADITIONAL {statement}", parameters)
            found += [{name: row[name] for name in ("table", "type", "key", "rows")} for row in cursor.mappings()]
        return found


@contextmanager
def _noted(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    noted: list[tuple[str, Any]] = []

    def note(_c: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, _many: bool) -> None:
        noted.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield noted
    finally:
        event.remove(engine, "before_cursor_execute", note)
