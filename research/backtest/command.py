"""A folder replayed from the command line: progress, tables, and the report as a file."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from rich.console import Console

from domain.backtest.contract import NoData
from research.backtest import tables
from research.backtest.report import CHOSEN_ON, FULL, JUDGED_ON, QUICK, Report, run_all

OUT = Path("var/backtest/report.json")
WIDTH = 170  # of tables that go to a file or a pipe


def replay_folder(data: Path, *, quick: bool = False, out: Path = OUT) -> Report:
    """Print every table and write the report. Raise BacktestError: NoData for what is missing, BadData for a line."""
    if not data.is_dir():
        raise NoData(f"{data} is no folder; name the one that holds traces_series.csv, prices_*.csv and ondemand.csv")
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    effort = QUICK if quick else FULL
    report = run_all(data, effort, lambda said: console.print(said, style="dim"))
    show(console, report)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report.as_json(data, effort), indent=2) + "\n", encoding="utf-8")
    console.print(f"written to {out}")
    return report


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
