"""The figures as tables: medians of all runs, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.measured import Measured

AIM_MS = 1000.0


def show(console: Console, switches: Sequence[Measured], scripts: Sequence[Measured]) -> None:
    console.print(_whole(switches, scripts))
    console.print(_by_step(switches, scripts))
    console.print(_split("what is under way", "a switch by what it waits for", [run.waits for run in switches]))
    console.print(_split("process", "what a switch makes each process work", [run.processor for run in switches]))


def share(runs: Sequence[Measured]) -> float:
    return median(run.share for run in runs)


def _whole(switches: Sequence[Measured], scripts: Sequence[Measured]) -> Table:
    table = Table("", "took", "seen from outside", "own share", "least", "most", title="a switch, medians in ms")
    for name, runs in (("Spot Optimizer", switches), ("plain boto3 script", scripts)):
        shares = [run.share for run in runs]
        took, outside = median(run.took for run in runs), median(run.outside for run in runs)
        figures = (took, outside, median(shares), min(shares), max(shares))
        table.add_row(name, *(f"{ms:.0f}" for ms in figures))
    return table


def _by_step(switches: Sequence[Measured], scripts: Sequence[Measured]) -> Table:
    table = Table("step", "took", "lab", "host", "own share", "script's", title="where it goes, medians in ms")
    names = list(dict.fromkeys(part.name for run in switches for part in run.parts))
    for name in names:
        ours = [part for run in switches for part in run.parts if part.name == name]
        theirs = [part.left for run in scripts for part in run.parts if part.name == name]
        figures = [median(column) for column in zip(*((p.took, p.lab, p.host, p.left) for p in ours), strict=True)]
        table.add_row(name, *(f"{ms:.0f}" for ms in figures), f"{median(theirs):.0f}" if theirs else "")
    return table


def _split(what: str, title: str, runs: Sequence[Mapping[str, float]]) -> Table:
    """Medians, the largest first. Delays of the lab and work of the host are in them."""
    table = Table(what, "median ms", title=title)
    names = {name for run in runs for name in run}
    rows = {name: median(run.get(name, 0.0) for run in runs) for name in names}
    for name, ms in sorted(rows.items(), key=lambda row: -row[1]):
        table.add_row(name, f"{ms:.0f}")
    return table
