"""From an event's commit to its readers, one to a thousand of them, across two API processes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from benchmarks import processor
from benchmarks.figure import Figure, percentile
from benchmarks.terms import Terms
from db.events import NewEvent, append_events
from db.session import make_engine, make_session_factory
from stack import programs
from stack.ports import Leases
from stack.processes import Process
from stack.settings import REPOSITORY
from stack.up import Stack

NAME = "streams"
AIM_MS = 100.0
PER_SECOND = 5
SETTLE_S = 1.5  # for the last events to arrive
PARTS = frozenset({"database", "temporal", "api"})
BASELINE = "the transaction that changes a row and writes its event, from begin to commit, in the same run"
HOW = (
    f"two API processes on one database; {PER_SECOND} events a second of one client, all of whose readers get each;"
    " from the moment the commit has returned to the reader's socket; the readers are one process on the same machine"
)


def measure(terms: Terms) -> list[Figure]:
    with terms.stack(parts=PARTS) as stack, Leases() as leases:
        second = _second_api(stack, leases.port())
        second.start()
        try:
            second.wait_ready()
            counts = terms.choose([1, 10, 100, 1000], [1, 4])
            return [_figure(terms, stack, second, count) for count in counts]
        finally:
            second.stop()


def _second_api(stack: Stack, port: int) -> Process:
    environment = {**stack.environment, "SPOT_API_PORT": str(port)}
    process = programs.api(stack.settings, {**stack.ports, "api": port}, environment)
    process.log = stack.settings.logs / "api-2.log"
    return process


def _figure(terms: Terms, stack: Stack, second: Process, count: int) -> Figure:
    urls = [stack.urls["api"], f"http://127.0.0.1:{second.environment['SPOT_API_PORT']}"]
    argv = [sys.executable, "-m", "benchmarks.readers", stack.credentials.client_token, str(count), *urls]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as readers:
        assert readers.stdout is not None
        if readers.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{count} readers did not all subscribe")
        time.sleep(0.5)
        pids = {"api": stack.processes["api"].pid or 0, "api-2": second.pid or 0, "readers": readers.pid}
        worked, began = processor.milliseconds(pids), time.monotonic()
        commits, committed = _write(stack, terms.choose(20, 1) * PER_SECOND)
        time.sleep(SETTLE_S)
        busy = processor.between(worked, processor.milliseconds(pids))
        lasted = 1000 * (time.monotonic() - began)
        said, _ = readers.communicate()
    seen = [[(int(seq), float(at)) for seq, at in json.loads(line)] for line in said.splitlines()]
    if len(seen) != count:
        raise RuntimeError(f"{count - len(seen)} of {count} readers ended early: a stream was cut off")
    missed = sum(len(set(committed) - {seq for seq, _ in one}) for one in seen)
    disorder = sum([seq for seq, _ in one] != sorted({seq for seq, _ in one}) for one in seen)
    late = [1000 * (at - committed[seq]) for one in seen for seq, at in one if seq in committed]
    measured = {**_summary(late), "missed": missed, "out of order or twice": disorder}
    terms.details[f"{count} readers"] = {"cores busy": {name: round(ms / lasted, 2) for name, ms in busy.items()}}
    terms.say(f"{NAME}: {count} readers: {measured}, cores busy {terms.details[f'{count} readers']['cores busy']}")
    met = measured["p99"] < AIM_MS and not missed and not disorder
    return Figure(NAME, f"event to reader, {count} readers", "ms", measured, _summary(commits), BASELINE,
                  f"p99 under {AIM_MS:.0f}, none missed", met, HOW)  # fmt: skip


def _write(stack: Stack, count: int) -> tuple[list[float], dict[int, float]]:
    """Milliseconds of each transaction; and when it had committed, epoch seconds, by the event's number."""
    assert stack.database is not None
    engine = make_engine(stack.database.url, pool_size=1)
    sessions = make_session_factory(engine)
    commits, committed = [], {}
    due = time.monotonic()
    for number in range(count):
        began = time.perf_counter()
        with sessions.begin() as session:
            seq = _change(session, stack.credentials.client_id, number)
        committed[seq] = time.time()
        commits.append(1000 * (time.perf_counter() - began))
        due += 1 / PER_SECOND
        time.sleep(max(0.0, due - time.monotonic()))
    engine.dispose()
    return commits, committed


def _change(session: Session, client_id: str, number: int) -> int:
    what = {"step": "launch", "position": number, "note": "as long as those of a step usually are"}
    event = NewEvent("operation.step", datetime.now(UTC), "srv-bench", None, "op-bench", what)
    return append_events(session, client_id, [event])


def _summary(values: Sequence[float]) -> dict[str, float]:
    return {"p50": round(percentile(values, 50), 2), "p99": round(percentile(values, 99), 2), "n": len(values)}
