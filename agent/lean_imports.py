"""Load libraries without the extras that the agent does not use.

The agent's start is part of every rescue. Two of its libraries load optional companions when another program has
installed them: temporalio's workflow sandbox loads pydantic, and httpx loads its command line (click, rich, pygments).
Together they take a third of the start-up time, and memory on a user's machine.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = ("pydantic", "click")


@contextmanager
def lean_imports() -> Iterator[None]:
    """Imports inside find no extra. The garbage collector is off meanwhile."""
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
