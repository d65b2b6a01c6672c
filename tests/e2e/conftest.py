"""A site for each module that breaks things: no other sees what it broke."""

from __future__ import annotations

import logging
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from lab.loop_thread import loop_thread
from lab.stack import database
from lab.stack.settings import REPOSITORY, StackSettings
from lab.stack.stack import Stack
from proof.harness.site import Site
from tests.conftest import SharedServers
from tests.database_schemas import configured_server

PrintLine = Callable[[str], None]

SOLD = ("m5.large", "m5a.large", "m6i.large", "c5.xlarge", "r5.large", "m6g.large", "c3.large")
ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
DAYS = ("2026-01-01", "2026-01-03")


@pytest.fixture(scope="session")
def say(pytestconfig: pytest.Config) -> PrintLine:
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
def page_built() -> None:
    """The page, built from its sources if they have changed since."""
    build = ["bash", "lab/stack/dashboard.sh", "build"]
    done = subprocess.run(build, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def seed(say: PrintLine) -> int:
    """SPOT_FAULT_SEED, or drawn; printed, so that what was found can be tried again."""
    given = os.environ.get("SPOT_FAULT_SEED", "")
    drawn = int(given) if given else random.SystemRandom().randrange(1_000_000)
    say(f"faults are drawn with SPOT_FAULT_SEED={drawn}")
    return drawn


@pytest.fixture(scope="module")
def site(
    tmp_path_factory: pytest.TempPathFactory, seed: int, say: PrintLine, request: pytest.FixtureRequest
) -> Iterator[Site]:
    """A module may say: `WORKERS = 2`, two workers; `EXTRA`, more environment for every program; `OWN_SERVERS = True`,
    it kills the database or Temporal and so has its own."""
    workers, extra = getattr(request.module, "WORKERS", 1), getattr(request.module, "EXTRA", {})
    settings = StackSettings(var=tmp_path_factory.mktemp("site"), workers=workers, extra=extra)
    if getattr(request.module, "OWN_SERVERS", False):
        settings = replace(settings, database_server=configured_server())
    else:
        settings = on(request.getfixturevalue("shared_servers"), settings)
    with _site(settings, seed, say) as made:
        yield made


@pytest.fixture(scope="session")
def calm_site(
    tmp_path_factory: pytest.TempPathFactory, seed: int, say: PrintLine, shared_servers: SharedServers
) -> Iterator[Site]:
    """For tests after which everything is as it was. Its market sells a type that starts from an instance store."""
    var = tmp_path_factory.mktemp("calm-site")
    prices = tmp_path_factory.mktemp("prices") / "prices.csv"
    rows = [f"{kind},{zone},{day}T00:00:00Z,0.03" for kind in SOLD for zone in ZONES for day in DAYS]
    prices.write_text("\n".join(["instance_type,az,timestamp,price_usd_h", *rows]) + "\n")
    with _site(on(shared_servers, StackSettings(var=var, prices=prices)), seed, say) as made:
        yield made


def on(servers: SharedServers, settings: StackSettings) -> StackSettings:
    """The settings of a stack with a schema and a namespace on these servers."""
    return replace(settings, database_server=servers.database_server, temporal_server=servers.temporal_server)


@contextmanager
def _site(settings: StackSettings, seed: int, say: PrintLine) -> Iterator[Site]:
    report = logging.getLogger(__name__).info
    with Stack(settings, report=report) as stack, loop_thread("observer") as portal:
        made = Site(stack, portal, seed, say)
        try:
            yield made
        finally:
            made.close()
    database.clean(settings.var)
