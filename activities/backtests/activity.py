"""BACKTEST_RUN and BACKTEST_SETTLE.

NotYet            another one is being replayed: worth another try
Unavailable       the database or EC2 cannot be reached: worth another try
NoData            nothing was observed in the period
BacktestFailed    the replay ended with a problem
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.autopilot.fleet_facts import FleetFacts
from activities.backtests.history_reading import NothingToReplay, read_history
from activities.database_errors import database_unavailable
from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure
from activities.heartbeats import heartbeats
from db.autopilot.backtests import begin_backtest, finish_backtest
from db.engine.session import SessionFactory, in_transaction
from db.tables import BacktestRow
from domain.backtest.contract import (
    BACKTEST_RUN,
    BACKTEST_SETTLE,
    FAILED,
    NO_DATA,
    BacktestEnd,
    BacktestState,
    RunBacktestInput,
)
from domain.backtest.history import ReplayHistory
from domain.errors import Failure

LONGEST_S = 600.0
RETRY_DELAY = timedelta(seconds=5)
MOST_REPLAYS = 1  # replays at once in this worker: each takes a whole processor
COMMAND = (sys.executable, "-m", "activities.backtests.replay_process")
_LISTEN_S = 1.0
_ROOT = Path(__file__).resolve().parent.parent.parent
_PAST = TypeAdapter(ReplayHistory)


class BacktestActivities:
    def __init__(self, sessions: SessionFactory, clients: Clients) -> None:
        self._sessions = sessions
        self._facts = FleetFacts.from_clients(clients)
        self._turns = threading.Semaphore(MOST_REPLAYS)

    @activity.defn(name=BACKTEST_RUN)
    def run(self, given: RunBacktestInput) -> None:
        """Read, replay, keep the result. Safe to repeat after a worker died: nothing is kept before the end."""
        with database_unavailable("running a backtest"), heartbeats(), self._turn():
            self._replay(given.backtest_id)

    @activity.defn(name=BACKTEST_SETTLE)
    def settle(self, given: BacktestEnd) -> None:
        """Record that a backtest has ended without a result: failed or cancelled."""
        now = datetime.now(UTC)
        in_transaction(
            self._sessions,
            lambda session: finish_backtest(session, given.backtest_id, given.state, now, problem=given.problem),
        )

    def _replay(self, backtest_id: str) -> None:
        row: BacktestRow | None = in_transaction(
            self._sessions, lambda session: begin_backtest(session, backtest_id, datetime.now(UTC))
        )
        if row is None:
            return  # it has ended: by an attempt whose answer was lost, or by a cancellation
        try:
            past = read_history(self._sessions, self._facts, row)
        except NothingToReplay as why:
            raise ApplicationError(str(why), type=NO_DATA, non_retryable=True) from None
        except Ec2Failure as failed:
            raise ApplicationError(failed.message, type=failed.failure.value) from None
        result = replay_in_process(past)
        in_transaction(
            self._sessions,
            lambda session: finish_backtest(session, backtest_id, BacktestState.DONE, datetime.now(UTC), result=result),
        )

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """One replay at a time. Another one is retried later, so that it takes no thread from urgent work."""
        if not self._turns.acquire(blocking=False):
            why = "another backtest is being replayed"
            raise ApplicationError(why, type=Failure.NOT_YET.value, next_retry_delay=RETRY_DELAY)
        try:
            yield
        finally:
            self._turns.release()

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [self.run, self.settle]


def replay_in_process(past: ReplayHistory) -> dict[str, Any]:
    """Replay in a process of its own, which ends when this call ends or is cancelled. Raise ApplicationError."""
    pipe = subprocess.PIPE
    process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, cwd=_ROOT, env={})
    try:
        said, wrong = _answer(process, _PAST.dump_json(past))
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        last = wrong.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        raise ApplicationError(f"the replay ended: {last[0]}", type=FAILED, non_retryable=True)
    answer = json.loads(said)
    if "problem" in answer:
        raise ApplicationError(answer["problem"], type=answer["type"], non_retryable=True)
    result: dict[str, Any] = answer["result"]
    return result


def _answer(process: subprocess.Popen[bytes], question: bytes) -> tuple[bytes, bytes]:
    """Wait a second at a time, since a waiting thread does not notice a cancellation."""
    ends, given = time.monotonic() + LONGEST_S, question or None
    while time.monotonic() < ends:
        try:
            return process.communicate(given, timeout=min(_LISTEN_S, LONGEST_S))
        except subprocess.TimeoutExpired:
            given = None  # the question was sent the first time
    why = f"it took longer than {LONGEST_S:g} s; ask for fewer servers or days"
    raise ApplicationError(why, type=FAILED, non_retryable=True)
