"""The table of results: every figure, its baseline of the same run, and its aim."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_TIMED = re.compile(r"p\d|the last|more than")
_WORDS = {True: "met", False: "NOT met", None: ""}


def show(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    table = Table("figure", "measured", "baseline", "aim", "", title="Spot Optimizer, measured", show_lines=True)
    for run in runs:
        for one in run["figures"]:
            table.add_row(
                one["what"], _values(one["measured"], one["unit"]), _values(one["baseline"], one["unit"]), one["aim"],
                _WORDS[one["met"]],
            )  # fmt: skip
    console.print(table)
    _say_how(console, runs)


def _say_how(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    for run in runs:
        for how in dict.fromkeys((one["how"], one["baseline_is"]) for one in run["figures"]):
            console.print(f"[bold]{run['measure']}[/bold]: {how[0]}. Baseline: {how[1] or 'none'}.", highlight=False)
        for one in run["figures"]:
            if one["because"]:
                console.print(f"  {one['what']}: {one['because']}", highlight=False)
        console.print(f"  {_where(run)}", highlight=False)


def _where(run: Mapping[str, Any]) -> str:
    machine = run["machine"]
    quick = "QUICK, so no measure of anything; " if run["quick"] else ""
    load = f"load {machine['load_before'][0]} before, {machine['load_after'][0]} after"
    return (
        f"{quick}{run['at']}, {run['took_s']:.0f} s, {run['database']}, {machine['cores']} cores of"
        f" {machine['processor']}, {machine['memory_gib']} GiB, {load}"
    )


def _values(values: Mapping[str, float], unit: str) -> str:
    return "\n".join(_lines(values, unit))


def _lines(values: Mapping[str, float], unit: str) -> Iterable[str]:
    for name, value in values.items():
        shown = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"
        yield f"{name} {shown} {unit if _TIMED.match(name) else ''}".rstrip()
