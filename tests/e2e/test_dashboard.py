"""The page in a real browser, against the whole system on the lab."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

from db.engine.session import make_engine
from db.event_log.writing import NewEvent, append_events
from proof.harness.browser import (
    SIZES,
    BrowserSession,
    Theme,
    axe_violations,
    event_numbers,
    horizontal_overflow,
    live_marker,
    open_session,
    server_row,
    take_screenshot,
)
from proof.harness.browser import browser as chromium
from proof.harness.server_owner import AdoptedServer, ServerSpec
from proof.harness.site import Site
from proof.harness.waiting import until

FIRST_LOAD_BYTES = 300_000
OPERATION_MS = 180_000


def held(action: str) -> dict[str, object]:
    """Make every call of this action wait, so that the page has time to show an operation in its middle."""
    return {"action": action, "kind": "hold", "when": "before", "times": 100}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def servers(site: Site) -> list[AdoptedServer]:
    return site.adopt_servers(
        ServerSpec("orders", "volumes", 8), ServerSpec("web", "stateless"), ServerSpec("queue", "volumes", 8)
    )


@pytest.fixture(scope="module")
def orders(servers: list[AdoptedServer]) -> AdoptedServer:
    return servers[0]


@pytest.fixture
def reader(site: Site, browser: Browser, page_built: None, servers: list[AdoptedServer]) -> Iterator[BrowserSession]:
    found = open_session(browser, site.stack.urls["api"])
    yield found
    found.context.close()
    assert found.foreign_requests == []
    assert found.console_errors == []


@pytest.fixture
def fleet(site: Site, reader: BrowserSession) -> Page:
    """The first screen, signed in."""
    return reader.sign_in(site.stack.credentials.client_token)


def spot_pool(site: Site, server: AdoptedServer) -> str:
    """The cheapest spot pool that its plan would take."""
    plan = site.http.post(f"/api/servers/{server.id}/plan", json={}).json()
    return next(str(one["pool"]) for one in plan["candidates"] if one["pool"].endswith("/spot"))


# --- signing in


def test_a_person_signs_in_once_and_the_browser_holds_no_token(site: Site, reader: BrowserSession) -> None:
    page, token = reader.tab(), site.stack.credentials.client_token
    page.get_by_label("Access token").fill("spt_client_no_such_token_of_anybody")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("token")

    page.get_by_label("Access token").fill(token)
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])")
    assert token not in kept
    assert "spot_session" not in kept  # not even the cookie can be read by a script
    cookies = reader.context.cookies()
    assert [(one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, "Strict")]
    assert token not in cookies[0]["value"]
    page.reload()
    expect(live_marker(page)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()


def test_the_first_load_is_small_and_stays_at_home(site: Site, reader: BrowserSession) -> None:
    page = reader.tab()
    bodies: list[int] = []  # compressed, as they were sent
    page.on("response", lambda answer: bodies.append(int(answer.headers.get("content-length", 0))))
    page.goto("/")
    page.get_by_label("Access token").fill(site.stack.credentials.client_token)
    page.get_by_role("button", name="Sign in").click()
    expect(live_marker(page)).to_be_visible()
    assert 50_000 < sum(bodies) < FIRST_LOAD_BYTES


def test_a_client_never_sees_anothers_servers(
    site: Site, browser: Browser, page_built: None, orders: AdoptedServer
) -> None:
    with site.stack.admin() as admin:
        other = admin.post("/api/clients", json={"name": "other"}).json()["id"]
        token = admin.post(f"/api/clients/{other}/tokens", json={"label": "page"}).json()["token"]
    stranger = open_session(browser, site.stack.urls["api"])
    page = stranger.sign_in(token)
    expect(page.get_by_text("No servers yet")).to_be_visible()
    page.goto(f"/servers/{orders.id}")
    expect(page.get_by_text("There is no such server")).to_be_visible()
    page.goto("/activity")
    expect(page.locator("[data-type='token.created']")).to_be_visible()

    site.http.patch(f"/api/servers/{orders.id}", json={"policy": {"drain_s": 6}}).raise_for_status()
    _append(site, other, 1)  # later than the other's event: once this one is shown, that one would be too

    expect(page.locator("[data-type='record_rejected']")).to_be_visible()
    assert page.locator("[data-type='server.policy'], [data-type='server.adopted']").count() == 0
    assert "orders" not in page.content()
    stranger.context.close()


# --- asking


def test_a_bad_target_is_refused_where_it_was_asked(site: Site, fleet: Page, orders: AdoptedServer) -> None:
    before = site.api.operation_ids(orders.id, "switch")
    server_row(fleet, orders.id).get_by_role("link", name="orders").click()
    fleet.get_by_role("button", name="Plan a switch").click()
    dialog = fleet.get_by_role("dialog")
    expect(dialog.get_by_role("radio").first).to_be_visible()

    dialog.get_by_label("Another pool").fill("the moon")
    dialog.get_by_role("button", name="Plan it").click()
    expect(dialog.get_by_role("alert")).to_contain_text("zone/type/lifecycle")

    dialog.get_by_label("Another pool").fill("us-east-1a/x9.imaginary/spot")
    dialog.get_by_role("button", name="Plan it").click()
    expect(dialog.get_by_role("alert").first).to_be_visible()
    confirm = dialog.get_by_role("button", name=re.compile("^Switch"))
    expect(confirm).to_have_attribute("aria-disabled", "true")
    confirm.click(force=True)

    fleet.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    assert site.api.operation_ids(orders.id, "switch") == before


def test_a_switch_is_watched_from_click_to_commit(
    site: Site, reader: BrowserSession, fleet: Page, orders: AdoptedServer
) -> None:
    pool = spot_pool(site, orders)
    late = reader.tab(f"/servers/{orders.id}?switch")  # a plan that is outdated when it is confirmed
    late.get_by_role("dialog").get_by_label("Another pool").fill(pool)
    late.get_by_role("button", name="Plan it").click()
    ready = late.get_by_role("button", name=re.compile("^Switch to"))
    expect(ready).to_have_attribute("aria-disabled", "false")

    server_row(fleet, orders.id).get_by_role("link", name="orders").click()
    fleet.get_by_role("button", name="Plan a switch").click()
    dialog = fleet.get_by_role("dialog")
    dialog.locator(f"input[value='{pool}']").check()
    expect(dialog.get_by_text("point of no return")).to_be_visible()
    confirm = dialog.get_by_role("button", name=re.compile("^Switch to"))
    expect(confirm).to_have_attribute("aria-disabled", "false")
    with site.faults(held("DetachVolume")):
        confirm.click(click_count=3, delay=5)
        steps = fleet.get_by_role("region", name=re.compile("in progress"))
        expect(steps.locator("[data-step='launch']")).to_have_attribute("data-state", "done", timeout=OPERATION_MS)
    expect(fleet.get_by_role("heading", level=1)).to_contain_text("Running", timeout=OPERATION_MS)
    expect(fleet.get_by_role("row").filter(has_text="Switch").filter(has_text="Committed")).to_have_count(1)

    assert len(site.api.operation_ids(orders.id, "switch")) == 1
    site.requested_operations.update(site.api.operation_ids(orders.id, "switch"))
    assert site.primary(orders)["pool"] == pool
    fleet.get_by_role("link", name="Switch", exact=True).click()
    expect(fleet.get_by_role("heading", name="Receipt")).to_be_visible()
    expect(fleet.get_by_role("heading", name="Before and after")).to_be_visible()
    for step in ("plan", "launch", "ready", "fence", "move", "serve", "commit", "retire"):
        expect(fleet.locator(f"[data-step='{step}']")).to_have_attribute("data-state", "done")

    ready.click()  # the server is in that pool by now
    expect(late.get_by_role("alert").filter(has_text="Nothing was changed")).to_be_visible()
    expect(late.locator("h1")).to_contain_text("Running")
    assert len(site.api.operation_ids(orders.id, "switch")) == 1


def test_two_tabs_agree_and_ten_are_fine(
    site: Site, reader: BrowserSession, fleet: Page, servers: list[AdoptedServer]
) -> None:
    queue = servers[2]
    others = [reader.tab(f"/servers/{queue.id}"), *(reader.tab() for _ in range(8))]
    for page in others:
        expect(live_marker(page)).to_be_visible()

    others[0].get_by_role("button", name="More").click()
    others[0].get_by_role("menuitem", name="Create a replica").click()
    with site.faults(held("RunInstances")):
        others[0].get_by_role("dialog").get_by_role("button", name="Create it").click()
        for page in (fleet, *others[1:]):
            expect(server_row(page, queue.id)).to_contain_text(re.compile("Adding replica|Queued"))
    for page in (fleet, *others[1:]):
        expect(server_row(page, queue.id)).to_contain_text("with replica", timeout=OPERATION_MS)
    site.requested_operations.update(site.api.operation_ids(queue.id, "replica_create"))

    def heads() -> set[str | None]:
        return {page.locator("[data-connection]").get_attribute("data-seq") for page in (fleet, *others)}

    until("all tabs have the same last event", 60.0, lambda: True if len(heads()) == 1 else None)


def test_an_interruption_arrives_and_the_failover_finishes(site: Site, fleet: Page, orders: AdoptedServer) -> None:
    doomed = site.primary(orders)
    known = site.api.operation_ids(orders.id, "failover")
    assert doomed["lifecycle"] == "spot"
    mine = server_row(fleet, orders.id)
    expect(mine).to_contain_text(doomed["id"])

    with site.faults(held("RunInstances")):
        site.interrupt(doomed["id"])
        expect(mine).to_contain_text("Failing over")

    expect(mine).to_contain_text("Running", timeout=OPERATION_MS)
    expect(mine).to_contain_text(re.compile("Failover.*committed"))
    operation = site.end_of(site.new_operation(orders, "failover", known))
    expect(mine).to_contain_text(site.primary(orders)["id"])
    fleet.goto(f"/activity?server={orders.id}&kind=notice")
    expect(fleet.locator("[data-type='notice.interruption']").first).to_be_visible()
    assert operation.outcome == "committed", operation.reason


def test_a_lost_connection_is_shown_and_nothing_is_missed(site: Site, reader: BrowserSession, fleet: Page) -> None:
    client_id = site.stack.credentials.client_id
    activity = reader.tab("/activity")
    expect(live_marker(activity)).to_be_visible()
    expect(activity.locator(".event-row").first).to_be_visible()
    before = event_numbers(activity)[-1]

    site.stack.kill("api")
    for page in (activity, fleet):
        expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_be_visible()
    written = _append(site, client_id, 25)
    site.stack.restart("api")

    for page in (activity, fleet):
        expect(live_marker(page)).to_be_visible()
        expect(page.get_by_role("alert").filter(has_text="Connection lost")).to_have_count(0)
    expect(activity.locator(f"[data-seq='{written}']:is(li)")).to_be_visible()
    shown = [seq for seq in event_numbers(activity) if before <= seq <= written]
    assert shown == list(range(before, written + 1))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_what_has_happened_is_drawn(
    site: Site, browser: Browser, orders: AdoptedServer, theme: Theme, size: str
) -> None:
    """Screens after all that: a plan, a server with a switch and a failover, a receipt. For people, and for axe."""
    reader = open_session(browser, site.stack.urls["api"], size=SIZES[size], theme=theme)
    page = reader.sign_in(site.stack.credentials.client_token)
    operation = site.api.operation_ids(orders.id, "switch")[0]
    paths = {
        "fleet": "/",
        "server": f"/servers/{orders.id}",
        "switch": f"/servers/{orders.id}?switch",
        "operation": f"/operations/{operation}",
        "market": "/market",
        "activity": "/activity",
    }
    wrong: list[str] = []
    for name, path in paths.items():
        page.goto(path)
        expect(live_marker(page)).to_be_visible()
        if name == "switch":
            expect(page.get_by_role("dialog").get_by_text("point of no return")).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        take_screenshot(page, f"live-{name}-{size}-{theme}")
        wrong += [f"{name}: {one}" for one in axe_violations(page)]
        assert horizontal_overflow(page) <= 0, f"{name} is wider than the screen"
    reader.context.close()
    assert wrong == []


def _append(site: Site, client_id: str, count: int) -> int:
    """Write events straight into the database; returns the last one's number."""
    assert site.stack.database is not None
    engine = make_engine(site.stack.database.url)
    with Session(engine) as session, session.begin():
        made = [NewEvent("record_rejected", datetime.now(UTC), payload={"reason": f"made {n}"}) for n in range(count)]
        last = append_events(session, client_id, made)
    engine.dispose()
    return last
