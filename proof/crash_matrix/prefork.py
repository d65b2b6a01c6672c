"""Forks workers that have everything loaded: `python -m proof.crash_matrix.prefork SOCKET [MODULE ...]`.

A caller connects to SOCKET and writes an environment (JSON, one line). The answer is the pid of a child that runs
`worker.py` in that environment. So a killed worker has a successor at once, as the second of two workers would be.
Imports are done only once; they take more processor time than the operation in which a worker is killed.
Each MODULE is loaded first. This is how the broken builds of `tests/broken_builds` get in, without a switch in the
product.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence

import worker
from lab.hosts.spawn import die_with_parent


def main(arguments: Sequence[str]) -> None:
    path, *modules = arguments
    for module in modules:
        importlib.import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps the children
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            asking, _ = door.accept()
            with asking, asking.makefile("rw") as lines:
                if not (line := lines.readline()):
                    continue  # the caller only checked that this process answers
                environment = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    door.close()
                    asking.close()
                    _begin(environment)
                lines.write(f"{pid}\n")


def _begin(environment: Mapping[str, str]) -> None:
    """Run the worker in the child. Does not return."""
    status = 1
    try:
        die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.environ.clear()
        os.environ.update(environment)
        asyncio.run(worker.main())
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
