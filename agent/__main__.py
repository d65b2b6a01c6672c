"""`python -m agent`, `spot-agent`: the process on each instance.

Nothing heavy is imported here: temporalio is loaded while IMDS and the control plane answer.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading

from agent import __version__
from agent.lean_imports import lean_imports
from agent.settings import SettingsError, read_settings
from telemetry.logs import configure_logs

log = logging.getLogger("agent")

EXIT_CONFIG = 78  # sysexits(3): a configuration error, which no restart mends

EXIT_DEFECT = 70


def main() -> None:
    instance: dict[str, object] = {"instance": ""}  # of every log line; unknown until IMDS has said it
    _configure_logs(instance)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        log.error("%s", error)
        sys.exit(EXIT_CONFIG)
    log.setLevel(settings.log_level)
    threading.excepthook = _exit_on_defect
    # Until the event loop takes over, there is nothing that would have to be ended in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    log.info("starting", extra={"version": __version__, "control": settings.control_url})
    with lean_imports():
        from agent.agent import Agent

        agent = Agent(settings, instance)
        agent.start()
        import asyncio

        from agent.serve import serve
    asyncio.run(serve(agent))
    _exit_now()


def _configure_logs(context: dict[str, object]) -> None:
    configure_logs("WARNING", lambda: context)
    log.setLevel("INFO")
    # An activity that fails has a log line of ours, with the hooks' output; the SDK's would be a second one.
    logging.getLogger("temporalio.activity").setLevel("ERROR")


def _exit_on_defect(failed: threading.ExceptHookArgs) -> None:
    """A thread of ours has died of a bug. End, to be started again: without the watch, or without a registration,
    the agent would look well until it is needed.
    """
    name = failed.thread.name if failed.thread else "?"
    log.critical("the thread %s died: %r; ending, to be started again", name, failed.exc_value)
    logging.shutdown()
    os._exit(EXIT_DEFECT)


def _exit_now() -> None:
    """End now. What still runs (a command that does not return, a call under way) must not hold the process: its
    host is about to stop, or its successor waits.
    """
    log.info("stopped")
    logging.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
