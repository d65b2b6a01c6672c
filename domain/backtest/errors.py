"""What can be wrong with the data.

BacktestError
├── BadData      a file says something impossible; the message has file, line and reason
└── NoData       nothing was observed in the period or set asked for
"""

from __future__ import annotations

from pathlib import Path


class BacktestError(Exception):
    """The backtest cannot be run; the message says why, and what to do."""


class BadData(BacktestError):
    def __init__(self, file: Path, line: int, why: str) -> None:
        super().__init__(f"{file.name}, line {line}: {why}")
        self.file, self.line, self.why = file, line, why


class NoData(BacktestError):
    """Nothing was observed in the period or set asked for."""
