"""Contract of backtests on a client's own history: names, inputs, outputs, limits."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

BACKTEST_RUN = "backtest_run"  # RunBacktest -> Replayed; Unavailable, NoData, BacktestFailed
BACKTEST_SETTLE = "backtest_settle"  # Settled -> None
BACKTEST_WORKFLOW = "BacktestWorkflow"

MOST_DAYS = 90.0
LEAST_DAYS = 1.0
MOST_SERVERS = 200
MOST_UNDER_WAY = 3  # of a client

NO_DATA, FAILED = "NoData", "BacktestFailed"  # failure types, beside domain.errors.Failure


class BacktestState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # `problem` says why
    CANCELLED = "cancelled"


ENDED = frozenset({BacktestState.DONE, BacktestState.FAILED, BacktestState.CANCELLED})


@dataclass(frozen=True)
class RunBacktestInput:
    backtest_id: str


@dataclass(frozen=True)
class BacktestEnd:
    backtest_id: str
    state: BacktestState
    problem: str = ""


def backtest_workflow_id(backtest_id: str) -> str:
    return f"backtest/{backtest_id}"
