"""A worker that has loaded everything and waits for its turn: `python -m proof.warm_worker FILE [MODULE ...]`.

It makes FILE when it could begin, and begins at SIGUSR1: then it is `worker.py`, as it always is. So a
worker that was killed has a successor after the time that a poll takes, not after that of an import.
MODULE is loaded first: the broken builds of `tests/broken` are worn this way, and not by a switch in the product.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import worker


def main(arguments: Sequence[str]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    warm, *modules = arguments
    for module in modules:
        importlib.import_module(module)
    Path(warm).touch()
    signal.sigwait({signal.SIGUSR1})
    asyncio.run(worker.main())


if __name__ == "__main__":
    main(sys.argv[1:])
