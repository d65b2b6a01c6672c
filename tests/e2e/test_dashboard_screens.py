"""Every screen, as pictures for people (var/screens) and for axe: light and dark, wide and narrow, with three servers
and with two thousand."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from sqlalchemy.orm import Session

from db.engine.session import make_engine
from lab.stack import database
from lab.stack.settings import StackSettings
from lab.stack.stack import Stack
from proof.harness.browser import (
    SIZES,
    Theme,
    axe_violations,
    horizontal_overflow,
    live_marker,
    open_session,
    server_row,
    take_screenshot,
)
from proof.harness.browser import browser as chromium
from proof.harness.fleet_rows import seed_fleet
from tests.conftest import SharedServers
from tests.e2e.conftest import on
from tests.e2e.savings_rows import BookedSavings, seed_savings, seed_webhooks

CROWD = 2_000


class PageSite:
    """Database, Temporal and API alone: two clients with fleets that were never launched."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.urls["api"]
        self.tokens: dict[str, str] = {}
        self.servers: dict[str, list[str]] = {}
        self.ledgers: dict[str, BookedSavings] = {}
        assert stack.database is not None
        engine = make_engine(stack.database.url)
        with stack.admin() as admin:
            for name, count, days in (("three", 3, 45), ("crowd", CROWD, 1)):
                client_id = admin.post("/api/clients", json={"name": name}).json()["id"]
                made = admin.post(f"/api/clients/{client_id}/tokens", json={"label": "page"}).json()
                self.tokens[name] = made["token"]
                with Session(engine) as session, session.begin():
                    self.servers[name] = seed_fleet(session, client_id, count)
                    self.ledgers[name] = seed_savings(session, client_id, days)
                    seed_webhooks(session, client_id)
        engine.dispose()

    @property
    def paths(self) -> dict[str, str]:
        server = self.servers["three"][1]
        return {
            "fleet": "/",
            "server": f"/servers/{server}",
            "operation": f"/operations/op-{server}-1",
            "market": "/market",
            "savings": "/savings",
            "activity": "/activity",
            "settings": "/settings",
        }


@pytest.fixture(scope="module")
def gallery(
    tmp_path_factory: pytest.TempPathFactory, page_built: None, shared_servers: SharedServers
) -> Iterator[PageSite]:
    var = tmp_path_factory.mktemp("gallery")
    settings = on(shared_servers, StackSettings(var=var, parts=frozenset({"database", "temporal", "api"})))
    with Stack(settings, report=lambda _: None) as stack:
        yield PageSite(stack)
    database.clean(var)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_screen_is_drawn_and_axe_finds_nothing_serious(
    gallery: PageSite, browser: Browser, theme: Theme, size: str
) -> None:
    reader = open_session(browser, gallery.url, size=SIZES[size], theme=theme)
    page = reader.sign_in(gallery.tokens["three"])
    wrong: list[str] = []
    for name, path in gallery.paths.items():
        page.goto(path)
        expect(live_marker(page)).to_be_visible()
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        take_screenshot(page, f"{name}-{size}-{theme}")
        wrong += [f"{name}: {one}" for one in axe_violations(page)]
        assert horizontal_overflow(page) <= 0, f"{name} is wider than the screen"
    assert wrong == []
    assert reader.foreign_requests == []
    assert reader.console_errors == []
    reader.context.close()


def test_what_was_saved_is_the_ledgers_sum_replicas_deducted(
    gallery: PageSite, browser: Browser, tmp_path: Path
) -> None:
    reader = open_session(browser, gallery.url)
    page = reader.sign_in(gallery.tokens["three"])
    ledger, (_, _, with_replica) = gallery.ledgers["three"], gallery.servers["three"]
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    head = page.get_by_label("The fleet in figures")
    _expect_sum(head, "Saved this month", ledger.since(month).saved)
    for name in ("Saved this hour", "Saved today"):
        expect(_figure(head, name)).to_have_text(re.compile(r"^−?\$[0-9]"))

    page.goto("/savings")
    start = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=30)
    booked, of_one = ledger.since(start), ledger.since(start, with_replica)
    assert of_one.replica > 0
    assert of_one.saved == of_one.on_demand - of_one.primary - of_one.replica - of_one.overlap - of_one.snapshot
    sums = page.get_by_label("Sums")
    for name, micro in (
        ("Saved", booked.saved),
        ("On demand it would cost", booked.on_demand),
        ("It cost", booked.cost),
        ("Primaries", booked.primary),
        ("Replicas", booked.replica),
        ("Overlap of switches", booked.overlap),
        ("Snapshots", booked.snapshot),
    ):
        _expect_sum(sums, name, micro)
    line = page.get_by_role("row").filter(has=page.locator(f'a[href="/servers/{with_replica}"]'))
    expect(line).to_contain_text(_usd(of_one.saved, column=True))
    expect(line).to_contain_text(_usd(of_one.replica, column=True))

    with page.expect_download() as begun:
        page.get_by_role("button", name="CSV by server").click()
    assert begun.value.suggested_filename.startswith("savings-by-server-")
    begun.value.save_as(tmp_path / "savings.csv")
    lines = list(csv.DictReader((tmp_path / "savings.csv").open()))
    assert {one["server_id"]: Decimal(one["saved_usd"]) for one in lines} == {
        one: Decimal(ledger.since(start, one).saved) / 1_000_000 for one in gallery.servers["three"]
    }
    reader.context.close()


def test_a_webhook_says_what_was_sent_and_what_came_of_it(gallery: PageSite, browser: Browser) -> None:
    reader = open_session(browser, gallery.url)
    page = reader.sign_in(gallery.tokens["three"])
    page.goto("/settings")
    rows = page.get_by_role("row")
    expect(rows.filter(has_text="chat.example.com")).to_contain_text("nothing but failures for 5 days")
    rows.filter(has_text="On call").get_by_role("button", name="Log").click()
    log = page.get_by_role("dialog").get_by_role("row")
    expect(log.filter(has_text="webhook.test")).to_contain_text("HTTP 200")
    expect(log.filter(has_text="operation.needs_attention")).to_contain_text("no answer within 10 s")
    take_screenshot(page, "deliveries-1440-light")
    assert axe_violations(page) == []
    reader.context.close()


def _figure(figures: Locator, name: str) -> Locator:
    return figures.locator(".stat").filter(has=figures.page.get_by_text(name, exact=True)).locator("dd")


def _expect_sum(figures: Locator, name: str, micro: int) -> None:
    expect(_figure(figures, name)).to_have_text(re.compile("^" + re.escape(_usd(micro))))


def _usd(micro: int, *, column: bool = False) -> str:
    """A sum as the page writes it: with four digits when cents would show zero, but never in a column."""
    amount = Decimal(micro) / 1_000_000
    digits = 2 if column or micro == 0 or abs(amount) >= Decimal("0.1") else 4
    shown = amount.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
    return f"{'−' if shown < 0 else ''}${abs(shown):,}"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_two_thousand_servers_are_found_and_sorted_without_drawing_them_all(
    gallery: PageSite, browser: Browser, theme: Theme, size: str
) -> None:
    reader = open_session(browser, gallery.url, size=SIZES[size], theme=theme)
    page = reader.sign_in(gallery.tokens["crowd"])
    expect(page.get_by_text(f"{CROWD} servers")).to_be_visible()
    assert 5 < page.locator("[data-server]").count() < 60
    take_screenshot(page, f"fleet-{CROWD}-{size}-{theme}")
    assert axe_violations(page) == []

    page.get_by_role("searchbox").fill("billing-00 spot")
    expect(page.get_by_text(re.compile(rf"^\d+ of {CROWD}$"))).to_be_visible()
    expect(page.locator("[data-server]").first).to_contain_text("billing-00")
    page.get_by_role("button", name="Price per hour").click()
    prices = page.locator("[data-server] b").all_inner_texts()
    assert prices == sorted(prices)
    page.get_by_role("searchbox").fill("")
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(page.locator("[data-server]").last).to_be_visible()
    assert page.locator("[data-server]").count() < 60
    reader.context.close()


def test_all_is_done_with_the_keyboard(gallery: PageSite, browser: Browser) -> None:
    reader = open_session(browser, gallery.url)
    page = reader.tab()
    expect(page.get_by_label("Access token")).to_be_focused()
    page.keyboard.type(gallery.tokens["three"])
    page.keyboard.press("Enter")
    expect(live_marker(page)).to_be_visible()
    first = server_row(page, gallery.servers["three"][1]).get_by_role("link").first
    _tab_to(page, first.inner_text())
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Plan a switch")).to_be_visible()
    _tab_to(page, "Plan a switch")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    inside = page.locator("[role=dialog]:focus, [role=dialog] :focus")
    for _ in range(12):
        expect(inside).to_have_count(1)  # the guards at its ends hand the focus on in the next frame
        page.keyboard.press("Tab")
    expect(inside).to_have_count(1)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    _tab_to(page, "More")
    page.keyboard.press("Enter")
    expect(page.get_by_role("menuitem", name="Create a replica")).to_be_visible()
    page.keyboard.press("Escape")
    reader.context.close()


def _tab_to(page: Page, name: str, most: int = 60) -> None:
    for _ in range(most):
        if (
            page.evaluate("document.activeElement.matches('a, button') && document.activeElement.innerText.trim()")
            == name
        ):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} cannot be reached with the Tab key")
