"""`python -m benchmarks`: the control plane's own share of a switch, beside a plain boto3 script.

Both move a server with a data volume and an Elastic IP on the lab (profile fast), by turns on the
same machine. The own share is the duration less the lab's delays (launch, boot, detach, attach,
terminate), the host's start of its agent and the host's hooks. The aim: at most 1 s.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks import tables
from benchmarks.measured import Measured, as_json
from benchmarks.rig import Rig
from stack import database
from stack.settings import REPOSITORY, StackSettings
from stack.up import Stack

RESULTS = REPOSITORY / "benchmarks" / "results.json"


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    console = Console()
    before = os.getloadavg()
    database.clean(given.var)
    shutil.rmtree(given.var, ignore_errors=True)
    with Stack(StackSettings(var=given.var), report=console.print) as stack, stack.lab() as lab, stack.api() as http:
        switches, scripts = _measure(Rig(stack, lab, http), given.n, console)
    database.clean(given.var)
    machine = {
        "cores": os.cpu_count(),
        "shared": "other programs may have run beside it; the load says how many",
        "load_before": [round(one, 2) for one in before],
        "load_after": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }
    tables.show(console, switches, scripts)
    _conclude(console, switches, scripts, machine)
    given.results.write_text(json.dumps(_results(switches, scripts, machine), indent=2) + "\n")
    console.print(f"written to {given.results}")
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description="The control plane's own share of a switch.")
    parser.add_argument("-n", type=int, default=6, help="switches that are measured, after one to warm up")
    parser.add_argument("--var", type=Path, default=REPOSITORY / "var" / "bench", help="its own folder; emptied first")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def _measure(rig: Rig, count: int, console: Console) -> tuple[list[Measured], list[Measured]]:
    """By turns, so that both meet the same machine; the first of each is not counted."""
    switches, scripts = [], []
    for number in range(count + 1):
        switches.append(rig.switch(number))
        scripts.append(rig.script(number))
        what = "warm-up" if number == 0 else f"{number} of {count}"
        console.print(
            f"{what}: switch {switches[-1].took:.0f} ms, own share {switches[-1].share:.0f} ms; "
            f"script {scripts[-1].took:.0f} ms, own share {scripts[-1].share:.0f} ms"
        )
    return switches[1:], scripts[1:]


def _conclude(
    console: Console, switches: Sequence[Measured], scripts: Sequence[Measured], machine: dict[str, Any]
) -> None:
    ours, theirs = tables.share(switches), tables.share(scripts)
    over = ours - tables.AIM_MS
    console.print(
        f"own share {ours:.0f} ms, the script's {theirs:.0f} ms: {ours / theirs:.1f} times, {ours - theirs:+.0f} ms.\n"
        f"aim: at most {tables.AIM_MS:.0f} ms; it is {abs(over):.0f} ms {'above' if over > 0 else 'below'}.\n"
        f"{machine['cores']} cores, shared; load {machine['load_before'][0]} before, {machine['load_after'][0]} after"
    )


def _results(switches: Sequence[Measured], scripts: Sequence[Measured], machine: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = tables.share(switches), tables.share(scripts)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "aws": "lab, profile fast",
        "machine": machine,
        "aim_ms": tables.AIM_MS,
        "share_ms": round(ours),
        "script_share_ms": round(theirs),
        "ratio": round(ours / theirs, 2),
        "difference_ms": round(ours - theirs),
        "switches": [as_json(run) for run in switches],
        "scripts": [as_json(run) for run in scripts],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
