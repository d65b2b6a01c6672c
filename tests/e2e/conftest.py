"""A site for each module that breaks things: no other sees what it broke."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.loop_thread import LoopThread
from stack import database
from stack.settings import StackSettings
from stack.up import Stack
from tests.e2e.site import Site

Say = Callable[[str], None]


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> Say:
    """A line on the terminal, whether the test passes or not: for seeds and for what was measured."""
    terminal = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    capture = pytestconfig.pluginmanager.get_plugin("capturemanager")

    def write(text: str) -> None:
        if terminal is not None and capture is not None:
            with capture.global_and_fixture_disabled():
                terminal.ensure_newline()
                terminal.write_line(text)

    return write


@pytest.fixture(scope="session")
def seed(say: Say) -> int:
    """SPOT_FAULT_SEED, or drawn; printed, so that what was found can be tried again."""
    given = os.environ.get("SPOT_FAULT_SEED", "")
    drawn = int(given) if given else random.SystemRandom().randrange(1_000_000)
    say(f"faults are drawn with SPOT_FAULT_SEED={drawn}")
    return drawn


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, seed: int, say: Say, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """Two workers only where the module says so: `WORKERS = 2`."""
    workers = getattr(request.module, "WORKERS", 1)
    with _site(tmp_path_factory.mktemp("site"), seed, say, workers) as made:
        yield made


@pytest.fixture(scope="session")
def calm_site(tmp_path_factory: pytest.TempPathFactory, seed: int, say: Say) -> Iterator[Site]:
    """For tests after which everything is as it was."""
    with _site(tmp_path_factory.mktemp("calm-site"), seed, say, workers=1) as made:
        yield made


@contextmanager
def _site(var: Path, seed: int, say: Say, workers: int) -> Iterator[Site]:
    settings = StackSettings(var=var, workers=workers)
    report = logging.getLogger(__name__).info
    with Stack(settings, report=report) as stack, LoopThread("observer") as loop:
        made = Site(stack, loop, seed, say)
        try:
            yield made
        finally:
            made.close()
    database.clean(var)
