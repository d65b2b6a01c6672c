"""Every screen drawn, for people to look at (var/screens) and for axe to judge: light and dark, wide and narrow,
with three servers and with two thousand."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy.orm import Session

from db.session import make_engine
from stack import database
from stack.settings import StackSettings
from stack.up import Stack
from tests.e2e.chromium import browser as chromium
from tests.e2e.fleets import seed_fleet
from tests.e2e.reader import SIZES, Theme, axe, live, new_reader, row, shoot, sideways

pytestmark = pytest.mark.timeout(200)

CROWD = 2_000


class Gallery:
    """Database, Temporal and API alone: two clients with fleets that were never launched."""

    def __init__(self, stack: Stack) -> None:
        self.url = stack.urls["api"]
        self.tokens: dict[str, str] = {}
        self.servers: dict[str, list[str]] = {}
        assert stack.database is not None
        engine = make_engine(stack.database.url)
        with stack.admin() as admin:
            for name, count in (("three", 3), ("crowd", CROWD)):
                client_id = admin.post("/api/clients", json={"name": name}).json()["id"]
                made = admin.post(f"/api/clients/{client_id}/tokens", json={"label": "page"}).json()
                self.tokens[name] = made["token"]
                with Session(engine) as session, session.begin():
                    self.servers[name] = seed_fleet(session, client_id, count)
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
def gallery(tmp_path_factory: pytest.TempPathFactory, page_built: None) -> Iterator[Gallery]:
    var = tmp_path_factory.mktemp("gallery")
    with Stack(
        StackSettings(var=var, parts=frozenset({"database", "temporal", "api"})), report=lambda _: None
    ) as stack:
        yield Gallery(stack)
    database.clean(var)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_every_screen_is_drawn_and_axe_finds_nothing_serious(
    gallery: Gallery, browser: Browser, theme: Theme, size: str
) -> None:
    reader = new_reader(browser, gallery.url, size=SIZES[size], theme=theme)
    page = reader.sign_in(gallery.tokens["three"])
    wrong: list[str] = []
    for name, path in gallery.paths.items():
        page.goto(path)
        expect(live(page)).to_be_visible()
        expect(page.locator("h1")).to_be_visible()
        expect(page.locator(".skeleton")).to_have_count(0)
        shoot(page, f"{name}-{size}-{theme}")
        wrong += [f"{name}: {one}" for one in axe(page)]
        assert sideways(page) <= 0, f"{name} is wider than the screen"
    assert wrong == []
    assert reader.foreign == []
    assert reader.complaints == []
    reader.context.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_two_thousand_servers_are_found_and_sorted_without_drawing_them_all(
    gallery: Gallery, browser: Browser, theme: Theme, size: str
) -> None:
    reader = new_reader(browser, gallery.url, size=SIZES[size], theme=theme)
    page = reader.sign_in(gallery.tokens["crowd"])
    expect(page.get_by_text(f"{CROWD} servers")).to_be_visible()
    assert 5 < page.locator("[data-server]").count() < 60
    shoot(page, f"fleet-{CROWD}-{size}-{theme}")
    assert axe(page) == []

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


def test_all_is_done_with_the_keyboard(gallery: Gallery, browser: Browser) -> None:
    reader = new_reader(browser, gallery.url)
    page = reader.tab()
    expect(page.get_by_label("Access token")).to_be_focused()
    page.keyboard.type(gallery.tokens["three"])
    page.keyboard.press("Enter")
    expect(live(page)).to_be_visible()
    first = row(page, gallery.servers["three"][1]).get_by_role("link").first
    _tab_to(page, first.inner_text())
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Plan a switch")).to_be_visible()
    _tab_to(page, "Plan a switch")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate("!!document.activeElement.closest('[role=dialog], [data-base-ui-focus-guard]')")
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
