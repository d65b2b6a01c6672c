"""Options that limit a run of the crash matrix or of chaos. A value that limits nothing is refused."""

from __future__ import annotations

import argparse
import math


def minutes(text: str) -> float:
    """A number above 0. Raises ArgumentTypeError, which argparse shows with the option's name."""
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no time to run; write minutes, more than 0: 10")
    return found


def cells(text: str) -> int:
    """A number of cells; 0 means all. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of cells; write 20, or 0 for all")
    return int(text)
