"""From an event's commit to its readers, one to a thousand of them, across two API processes."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from db.engine.session import make_engine, make_session_factory
from db.event_log.writing import NewEvent, append_events
from lab.stack import programs
from lab.stack.ports import Leases
from lab.stack.processes import Process
from lab.stack.settings import REPOSITORY
from lab.stack.stack import Stack
from proof.benchmarks import counters
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.setup import MeasureSetup

NAME = "streams"
AIM_MS = 100.0
PER_SECOND, BURST = 5, 100
CALM_S = 12.0  # until the hubs poll at their slowest (api.streams.hub)
REST_S = 5.0  # for how long statements are counted then
PARTS = frozenset({"database", "temporal", "api"})
BASELINE = "the transaction that changes a row and writes its event, from begin to commit, in the same run"
HOW = (
    f"two API processes on one database; {PER_SECOND} events a second of one client, at moments that a seed draws, all"
    " of whose readers get each; from the moment the commit has returned to the reader's socket; the readers are one"
    f" process on the same machine; then {BURST} in a row, and at last nothing, while statements are counted"
)

Arrivals = Sequence[Sequence[tuple[int, float]]]  # of each reader: number and arrival, epoch seconds, as they came


def measure(setup: MeasureSetup) -> list[Figure]:
    with setup.stack(parts=PARTS) as stack, Leases() as leases:
        second = _second_api(stack, leases.port())
        second.start()
        try:
            second.wait_ready()
            counts = setup.choose([1, 10, 100, 1000], [1, 4])
            return [_figure(setup, stack, second, count) for count in counts]
        finally:
            second.stop()


def _second_api(stack: Stack, port: int) -> Process:
    environment = {**stack.environment, "SPOT_API_PORT": str(port)}
    process = programs.api(stack.settings, {**stack.ports, "api": port}, environment)
    process.log = stack.settings.logs / "api-2.log"
    return process


def _figure(setup: MeasureSetup, stack: Stack, second: Process, count: int) -> Figure:
    urls = [stack.urls["api"], f"http://127.0.0.1:{second.environment['SPOT_API_PORT']}"]
    argv = [sys.executable, "-m", "proof.benchmarks.stream_readers", stack.credentials.client_token, str(count), *urls]
    with (
        subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as readers,
        _writer(stack) as writer,
    ):
        assert readers.stdout is not None
        if readers.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{count} readers did not all subscribe")
        time.sleep(0.5)
        pids = {"api": stack.processes["api"].pid or 0, "api-2": second.pid or 0, "readers": readers.pid}
        worked, began = counters.processor_ms(pids), time.monotonic()
        single = writer.write(setup.choose(20, 1) * PER_SECOND, random.Random(count))
        busy = counters.between(worked, counters.processor_ms(pids))
        lasted = 1000 * (time.monotonic() - began)
        burst = writer.write(BURST)
        at_rest = writer.statements_at_rest(*setup.choose((CALM_S, REST_S), (0.0, 1.0)))
        said, _ = readers.communicate(str(max(burst.committed)))
    measured = _judged([json.loads(line) for line in said.splitlines()], count, single, burst) | {
        "SQL/s at rest": at_rest
    }
    cores = {name: round(ms / lasted, 2) for name, ms in busy.items()}
    setup.details[f"{count} readers"] = {"cores busy": cores}
    setup.say(f"{NAME}: {count} readers: {measured}, cores busy {cores}")
    met = measured["p99"] < AIM_MS and not measured["missed"] and not measured["out of order or twice"]
    return Figure(NAME, f"event to reader, {count} readers", "ms", measured, _of(single.took), BASELINE,
                  f"p99 under {AIM_MS:.0f}, none missed", met, HOW)  # fmt: skip


def _judged(seen: Arrivals, count: int, single: WriteTimes, burst: WriteTimes) -> dict[str, float]:
    if len(seen) != count:
        raise RuntimeError(f"{count - len(seen)} of {count} readers ended early: a stream was cut off")
    committed = set(single.committed) | set(burst.committed)
    numbers = [[seq for seq, _ in one] for one in seen]
    in_burst = _of(burst.late(seen))
    return _of(single.late(seen)) | {
        "p50 of a burst": in_burst["p50"],
        "p99 of a burst": in_burst["p99"],
        "missed": sum(len(committed - set(one)) for one in numbers),
        "out of order or twice": sum(one != sorted(set(one)) for one in numbers),
    }


def _of(values: Sequence[float]) -> dict[str, float]:
    return summary(values, 50, 95, 99)


@dataclass
class WriteTimes:
    """`took`: milliseconds of each transaction. `committed`: epoch seconds, by the event's number."""

    took: list[float] = field(default_factory=list)
    committed: dict[int, float] = field(default_factory=dict)

    def late(self, seen: Arrivals) -> list[float]:
        """Milliseconds from an event's commit until a reader had it, for every reader and event."""
        return [1000 * (at - self.committed[seq]) for one in seen for seq, at in one if seq in self.committed]


@dataclass(frozen=True)
class EventWriter:
    engine: Engine
    client_id: str

    def write(self, count: int, chance: random.Random | None = None) -> WriteTimes:
        """Write at random moments, PER_SECOND on average, so as not to beat with polling. Without `chance` in a row."""
        sessions, written = make_session_factory(self.engine), WriteTimes()
        for number in range(count):
            if chance is not None:
                time.sleep(chance.uniform(0, 2 / PER_SECOND))
            began = time.perf_counter()
            with sessions.begin() as session:
                seq = _change(session, self.client_id, number)
            written.committed[seq] = time.time()
            written.took.append(1000 * (time.perf_counter() - began))
        return written

    def statements_at_rest(self, calm_s: float, rest_s: float) -> float:
        """Statements of all processes per second."""
        time.sleep(calm_s)
        before = counters.statements(self.engine)
        time.sleep(rest_s)
        return round((counters.statements(self.engine) - before) / rest_s, 1)


@contextmanager
def _writer(stack: Stack) -> Iterator[EventWriter]:
    assert stack.database is not None
    engine = make_engine(stack.database.url, pool_size=1)
    try:
        yield EventWriter(engine, stack.credentials.client_id)
    finally:
        engine.dispose()


def _change(session: Session, client_id: str, number: int) -> int:
    what = {"step": "launch", "position": number, "note": "as long as those of a step usually are"}
    event = NewEvent("operation.step", datetime.now(UTC), "srv-bench", None, "op-bench", what)
    return append_events(session, client_id, [event])
