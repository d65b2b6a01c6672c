"""`python -m proof.demo`: the product's main job, run on the lab. Exit code 0 when every check held.

PRICES (or --prices) names a file of real price history; DATABASE_URL a database server of yours.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType

from lab.stack import settings
from lab.stack.settings import REPOSITORY, StackSettings
from proof.demo.run import START_FAILURES, run_demo
from proof.demo.screen import Screen
from proof.harness.waiting import ScenarioFailed


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    screen = Screen()
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        return 0 if run_demo(_stack_settings(given), given.seed, screen, untimed=given.untimed) else 1
    except KeyboardInterrupt:
        screen.failure("stopped before its end; everything that was started is stopped too")
        return 130
    except settings.InvalidSetting as error:
        screen.failure(str(error))
        return 2
    except (ScenarioFailed, *START_FAILURES) as error:
        screen.failure(str(error))
        return 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="The main job, played on the lab.")
    parser.add_argument("--prices", default="", help="a file of spot prices; else PRICES, else a generated market")
    parser.add_argument("--seed", type=int, help="decides at which step the worker is killed; else at random")
    parser.add_argument("--var", type=Path, default=REPOSITORY / "var" / "demo", help="its own folder; emptied first")
    parser.add_argument("--untimed", action="store_true", help="limits of time are shown, and do not decide")
    given = parser.parse_args(arguments)
    if given.seed is None:
        given.seed = random.SystemRandom().randrange(1_000_000)
    return given


def _stack_settings(given: argparse.Namespace) -> StackSettings:
    environment = {**os.environ, **({"PRICES": given.prices} if given.prices else {})}
    chosen = settings.from_environment(environment, var=given.var.resolve(), standard_ports=False)
    return replace(chosen, profile="fast", workers=1)


def _interrupted(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends the demo as Ctrl-C does."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
