"""Load libraries without the extras that the agent has no use for.

The agent's start lies on the critical path of every rescue. Two of its libraries look for optional
companions and load them when some other program has them installed: temporalio's workflow sandbox
loads pydantic, and httpx loads its command line (click, rich, pygments). Together that is a third
of the start-up time, and a promise not kept: the agent is small on a user's machine.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = ("pydantic", "click")


@contextmanager
def lean_imports() -> Iterator[None]:
    """What is imported inside finds no extra, and is not searched for garbage while it loads."""
    hidden = [name for name in EXTRAS if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # the import system's word for "not there"
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        gc.freeze()
        gc.enable()
