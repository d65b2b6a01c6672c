"""Replay a folder of history through the policy: python -m backtest DATA [--quick] [--out FILE]."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from backtest import tables
from backtest.errors import BacktestError
from backtest.report import CHOSEN_ON, FULL, JUDGED_ON, QUICK, Report, run_all

OUT = Path("var/backtest/report.json")
WIDTH = 170  # of tables that go to a file or a pipe


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    effort = QUICK if given.quick else FULL
    try:
        report = run_all(given.data, effort, lambda said: console.print(said, style="dim"))
    except BacktestError as error:
        print(f"backtest: {error}", file=sys.stderr)
        return 1
    show(console, report)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(report.as_json(given.data, effort), indent=2) + "\n")
    console.print(f"written to {given.out}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backtest", description="What the decision policy would have done.")
    parser.add_argument("data", type=Path, help="folder with traces_*.csv, prices_*.csv, ondemand.csv")
    parser.add_argument("--quick", action="store_true", help="few windows, few groups: to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


def show(console: Console, report: Report) -> None:
    """Every table of what was replayed; the targets last."""
    if report.availability:
        tables.availability(console, report.availability)
    if report.validation:
        tables.validation(console, report.fits, report.validation)
    if report.prices:
        tables.prices(console, report.prices)
    if report.deadlines:
        tables.deadlines(console, report.deadlines)
    if report.ordinary:
        tables.ordinary(console, report.ordinary)
    tables.ablations(console, report.left_out, report.prices_left_out)
    console.print(f"parameters chosen on: {CHOSEN_ON}\njudged on: {JUDGED_ON}")
    tables.targets(console, report.verdicts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
