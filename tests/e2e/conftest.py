"""A site for each module: what one module breaks, no other sees."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from demo.loop_thread import LoopThread
from stack import database
from stack.settings import StackSettings
from stack.up import Stack
from tests.e2e.site import Site


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    """SPOT_FAULT_SEED, or drawn; printed, so that what was found can be tried again."""
    given = os.environ.get("SPOT_FAULT_SEED", "")
    drawn = int(given) if given else random.SystemRandom().randrange(1_000_000)
    reporter = pytestconfig.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"\nfaults are drawn with SPOT_FAULT_SEED={drawn}")
    return drawn


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, seed: int, request: pytest.FixtureRequest) -> Iterator[Site]:
    """Two workers only where the module says so: `WORKERS = 2`."""
    var = tmp_path_factory.mktemp("site")
    settings = StackSettings(var=var, workers=getattr(request.module, "WORKERS", 1))
    with Stack(settings) as stack, LoopThread("observer") as loop:
        made = Site(stack, loop, seed)
        try:
            yield made
        finally:
            made.close()
    database.clean(var)
