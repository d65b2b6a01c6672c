"""Workers that have loaded everything before they are made: `python -m proof.crash_matrix.prefork SOCKET [MODULE ...]`.

Who connects to SOCKET and writes an environment (JSON, one line) is answered with the pid of a child, which is
`worker.py` in that environment from then on. So a worker that was killed has a successor at once, as the other one of
two would be, and none costs an import, which takes more processor than the operation that it is killed in.
MODULE is loaded first: the broken builds of `tests/broken_builds` are worn this way, and not by a switch in the
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen()
        while True:
            asking, _ = door.accept()
            with asking, asking.makefile("rw") as lines:
                if not (line := lines.readline()):
                    continue  # whoever only wanted to know whether we are here
                environment = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    door.close()
                    asking.close()
                    _begin(environment)
                lines.write(f"{pid}\n")


def _begin(environment: Mapping[str, str]) -> None:
    """In the child; it does not return."""
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
