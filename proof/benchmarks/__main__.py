"""`python -m proof.benchmarks [--only NAME ...] [--quick]`: measures every promise beside a baseline of the same run.

Prints one table and writes proof/benchmarks/results.json. With --only, the last results of the other measures stay.
When a measure fails, the others still run, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from lab.stack import database_server, temporary_schema
from lab.stack.processes import StartFailed
from lab.stack.settings import REPOSITORY
from proof.benchmarks import (
    at_once,
    at_rest,
    hot_queries,
    outage,
    outage_realistic,
    page,
    rescue,
    results_table,
    share,
    streams,
)
from proof.benchmarks.figure import Figure, Machine, MeasureRun
from proof.benchmarks.setup import MeasureSetup

RESULTS = REPOSITORY / "proof" / "benchmarks" / "results.json"
MEASURES: Mapping[str, Callable[[MeasureSetup], list[Figure]]] = {
    one.NAME: one.measure
    for one in (outage, outage_realistic, rescue, share, at_once, at_rest, streams, page, hot_queries)
}


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    console = Console(soft_wrap=True) if sys.stdout.isatty() else Console(width=140)
    server = os.environ.get("DATABASE_URL", "")
    try:
        database = (
            f"database {temporary_schema.check_server(server)} of DATABASE_URL"
            if server
            else f"database {database_server.version()}"
        )
    except StartFailed as failed:
        console.print(str(failed), highlight=False)
        return 2
    runs = _kept(given.results) if given.only else {}
    wanted, broken = given.only or list(MEASURES), list[str]()
    for name in wanted:
        setup = MeasureSetup(given.var / name, given.quick, server, lambda line: console.print(line, highlight=False))
        try:
            runs[name] = _run(name, setup, database).as_json()
        except Exception:
            # The others take an hour, and are still useful.
            console.print_exception()
            runs.pop(name, None)
            broken.append(name)
        _write(given.results, runs)
    results_table.show(console, [runs[name] for name in MEASURES if name in wanted and name not in broken])
    console.print(f"written to {given.results}")
    if broken:
        console.print(f"broke off, see above: {', '.join(broken)}", highlight=False)
    return 1 if broken else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="What the README claims, measured.")
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--quick", action="store_true", help="once each: to see that it runs, not to measure")
    parser.add_argument("--var", type=Path, default=REPOSITORY / "var" / "bench", help="its own folder; emptied first")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def _run(name: str, setup: MeasureSetup, database: str) -> MeasureRun:
    run = MeasureRun(name, quick=setup.quick, database=database)
    before, began = _load(), time.monotonic()
    run.figures = MEASURES[name](setup)
    run.took_s = round(time.monotonic() - began, 1)
    run.machine = replace(Machine.here(), load_before=before, load_after=_load())
    run.details = setup.details
    return run


def _load() -> list[float]:
    return [round(one, 2) for one in os.getloadavg()]


def _kept(results: Path) -> dict[str, Any]:
    """Earlier runs, by measure."""
    if not results.exists():
        return {}
    found = json.loads(results.read_text())
    return {run["measure"]: run for run in found.get("runs", ())}


def _write(results: Path, runs: Mapping[str, Any]) -> None:
    results.write_text(json.dumps({"runs": [runs[name] for name in MEASURES if name in runs]}, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
