"""Contract of backtests: names, inputs, outputs and limits of those on a client's own history, and the errors of all.

BacktestError
├── BadData      a file holds something impossible; the message has file, line and reason
└── NoData       nothing was observed in the period or set that was asked for
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

BACKTEST_RUN = "backtest_run"  # RunBacktestInput -> None; Unavailable, NoData, BacktestFailed
BACKTEST_SETTLE = "backtest_settle"  # BacktestEnd -> None
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


class BacktestError(Exception):
    """The backtest cannot be run; the message says why, and what to do."""


class BadData(BacktestError):
    def __init__(self, file: Path, line: int, why: str) -> None:
        super().__init__(f"{file.name}, line {line}: {why}")
        self.file, self.line, self.why = file, line, why


class NoData(BacktestError):
    """Nothing was observed in the period or set that was asked for."""
