"""Replay a folder of history through the policy: python -m research.backtest DATA [--quick] [--out FILE]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from domain.backtest.contract import BacktestError
from research.backtest.command import OUT, replay_folder


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    try:
        replay_folder(given.data, quick=given.quick, out=given.out)
    except BacktestError as error:
        print(f"backtest: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backtest", description="What the decision policy would have done.")
    parser.add_argument("data", type=Path, help="folder with traces_*.csv, prices_*.csv, ondemand.csv")
    parser.add_argument("--quick", action="store_true", help="few windows, few groups: to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
