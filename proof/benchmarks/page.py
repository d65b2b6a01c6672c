"""The time from an event's commit until the page shows it, in one tab and in twenty, and the time to draw two thousand
servers, in a real browser on the same machine."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import sessionmaker

from db.engine.session import make_engine
from db.event_log.writing import NewEvent, append_events
from lab.stack.settings import REPOSITORY
from lab.stack.stack import Stack
from proof.benchmarks.figure import Figure, summary
from proof.benchmarks.setup import MeasureSetup
from proof.harness.browser import browser as chromium
from proof.harness.browser import live_marker, open_session, server_row
from proof.harness.fleet_rows import seed_fleet

NAME = "page"
AIM_MS, LATE_MS, DRAWN_MS = 100.0, 250.0, 1_000.0
CROWD = 2_000
PARTS = frozenset({"database", "temporal", "api"})
HOW = (
    "steps of a running operation, written at random moments 0.1 to 0.4 s apart; from the moment the commit has"
    " returned until the step's name stands in the fleet's row, seen by a MutationObserver in each tab; one Chromium,"
    " whose tabs share one connection; browser, API, database and writer on the same machine"
)
# Notes when each step's name first stands in the row: epoch milliseconds, by the clock that the writer reads.
_WATCH = """(row) => {
  window.seen = {};
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const name of row.textContent.match(/mark-\\d+/g) ?? []) window.seen[name] ??= now;
  };
  new MutationObserver(look).observe(row, {subtree: true, childList: true, characterData: true});
}"""
# When the first server's row stands in the document, ms after the navigation began.
_DRAWN = """
  const watch = new MutationObserver(() => {
    if (!document.querySelector('[data-server]')) return;
    watch.disconnect();
    requestAnimationFrame(() =>
      requestAnimationFrame(() => (document.documentElement.dataset.drawn = performance.now())));
  });
  watch.observe(document, {subtree: true, childList: true});
"""


def measure(setup: MeasureSetup) -> list[Figure]:
    subprocess.run(["bash", "lab/stack/dashboard.sh", "build"], cwd=REPOSITORY, check=True)
    with setup.stack(parts=PARTS) as stack, chromium() as running:
        site = PageSite(stack)
        few, crowd = site.client("few", 3), site.client("crowd", CROWD)
        try:
            latencies = [_latency(setup, site, running, few, tabs) for tabs in setup.choose((1, 20), (1, 2))]
            return [*latencies, _drawn(setup, site, running, crowd)]
        finally:
            site.close()


class PageClient:
    """A client whose servers are only rows."""

    def __init__(self, client_id: str, token: str, servers: Sequence[str]) -> None:
        self.client_id = client_id
        self.token = token
        self.servers = servers


class PageSite:
    def __init__(self, stack: Stack) -> None:
        assert stack.database is not None
        self.stack = stack
        self.url = stack.urls["api"]
        self._engine = make_engine(stack.database.url, pool_size=1)
        self.sessions = sessionmaker(self._engine)

    def close(self) -> None:
        self._engine.dispose()

    def client(self, name: str, count: int) -> PageClient:
        with self.stack.admin() as admin:
            client_id = str(admin.post("/api/clients", json={"name": name}).json()["id"])
            token = str(admin.post(f"/api/clients/{client_id}/tokens", json={"label": NAME}).json()["token"])
        with self.sessions() as session, session.begin():
            return PageClient(client_id, token, seed_fleet(session, client_id, count))

    def tell(self, fleet: PageClient, kind: str, payload: dict[str, Any]) -> tuple[float, float]:
        """Write an event of the first server's operation; returns when it committed and how long it took."""
        began = time.monotonic()
        with self.sessions() as session, session.begin():
            event = NewEvent(
                kind,
                datetime.now(UTC),
                fleet.servers[0],
                operation_id="op-bench",
                payload={"kind": "switch", **payload},
            )
            append_events(session, fleet.client_id, [event])
        return 1000 * time.time(), 1000 * (time.monotonic() - began)


def _latency(setup: MeasureSetup, site: PageSite, running: Browser, fleet: PageClient, tabs: int) -> Figure:
    reader = open_session(running, site.url)
    pages = [reader.sign_in(fleet.token), *(reader.tab() for _ in range(tabs - 1))]
    for page in pages:
        expect(live_marker(page)).to_be_visible(timeout=30_000)
        expect(server_row(page, fleet.servers[0])).to_be_visible(
            timeout=30_000
        )  # loaded: what comes now is an event's work
    site.tell(fleet, "operation.running", {})
    for page in pages:
        expect(server_row(page, fleet.servers[0])).to_contain_text("Switching", timeout=10_000)
        server_row(page, fleet.servers[0]).evaluate(_WATCH)
    draw, committed, commits = random.Random(1), {}, []
    for number in range(setup.choose(60, 5)):
        time.sleep(draw.uniform(0.1, 0.4))
        name = f"mark-{number}"
        payload = {"step": name, "position": number + 1, "state": "started"}
        committed[name], took = site.tell(fleet, "operation.step", payload)
        commits.append(took)
    for page in pages:
        expect(server_row(page, fleet.servers[0])).to_contain_text(f"mark-{len(commits) - 1}", timeout=10_000)
    seen = [_seen(page) for page in pages]
    reader.context.close()
    late = [one[name] - at for one in seen for name, at in committed.items() if name in one]
    missed = len(committed) * tabs - len(late)
    measured = {**summary(late), "missed": missed}
    setup.say(f"{NAME}: {tabs} tabs: {measured}")
    met = measured["p50"] <= AIM_MS and measured["p95"] <= LATE_MS and not missed
    aim = f"median {AIM_MS:.0f}, p95 {LATE_MS:.0f}, none missed"
    baseline_is = "the transaction that writes the event, from begin to commit, in the same run"
    return Figure(NAME, f"event to page, {tabs} tabs", "ms", measured, summary(commits), baseline_is, aim, met, HOW)


def _seen(page: Page) -> dict[str, float]:
    found: dict[str, float] = page.evaluate("window.seen")
    return found


def _drawn(setup: MeasureSetup, site: PageSite, running: Browser, crowd: PageClient) -> Figure:
    """Load the page again, signed in, with its files in the browser's cache."""
    reader = open_session(running, site.url)
    page = reader.sign_in(crowd.token)
    reader.context.add_init_script(_DRAWN)
    drawn, answered = [], []
    for _ in range(setup.choose(7, 2)):
        page.goto("/")
        expect(page.locator("html[data-drawn]")).to_have_count(1, timeout=30_000)
        expect(page.get_by_text(f"{CROWD} servers")).to_be_visible(timeout=10_000)
        drawn.append(float(page.evaluate("document.documentElement.dataset.drawn")))
        answered.append(float(page.evaluate(_ANSWERED)))
    reader.context.close()
    measured = summary(drawn)
    setup.say(f"{NAME}: {CROWD} servers: {measured}")
    how = (
        f"the fleet of {CROWD} servers loaded anew by a signed-in browser, seven times; from the beginning of the"
        " navigation until the second frame after the first row"
    )
    return Figure(NAME, f"{CROWD} servers drawn", "ms", measured, summary(answered),
                  "the API's answers with all the rows, as the same page waited for them",
                  f"median {DRAWN_MS:.0f}", measured["p50"] <= DRAWN_MS, how)  # fmt: skip


_ANSWERED = """performance.getEntriesByType('resource').filter(one => one.name.includes('/api/fleet'))
  .reduce((sum, one) => sum + one.duration, 0)"""
