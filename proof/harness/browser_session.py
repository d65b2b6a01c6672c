"""A person at the page: one browser profile, with its tabs, signed in as one client."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect

from lab.stack.settings import REPOSITORY

Theme = Literal["light", "dark"]
WIDE, PHONE = (1440, 900), (390, 844)
SIZES = {"1440": WIDE, "390": PHONE}
SIGN_IN_MS = 10_000
AXE = REPOSITORY / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
AXE_IMPACTS = ("serious", "critical")
SCREENS = REPOSITORY / "var" / "screens"


@dataclass
class BrowserSession:
    """`foreign_requests`: requests that left the origin. `console_errors`: of the browser, a broken security policy
    among them.
    """

    context: BrowserContext
    url: str
    foreign_requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)

    def tab(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.goto(path)
        return page

    def sign_in(self, token: str) -> Page:
        """The tab in which it was done, at the first screen, live."""
        page = self.tab()
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(live_marker(page)).to_be_visible(timeout=SIGN_IN_MS)
        return page

    def note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.foreign_requests.append(request.url)

    def _heard(self, message: ConsoleMessage) -> None:
        # That an answer was no success is the browser's remark on what the tests bring about.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.console_errors.append(message.text)


def open_session(
    browser: Browser, url: str, *, size: tuple[int, int] = WIDE, theme: Theme = "light", bypass_csp: bool = False
) -> BrowserSession:
    width, height = size
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": height},
        color_scheme=theme,
        reduced_motion="reduce",
        bypass_csp=bypass_csp,
        accept_downloads=True,
    )
    context.set_default_timeout(15_000)
    reader = BrowserSession(context, url)
    context.on("request", reader.note_request)
    return reader


def take_screenshot(page: Page, name: str) -> None:
    """A picture for people to look at, in var/screens."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png")


def live_marker(page: Page) -> Locator:
    """There when the tab is connected."""
    return page.locator('[data-connection="live"]')


def server_row(page: Page, server_id: str) -> Locator:
    return page.locator(f'[data-server="{server_id}"]')


def event_numbers(page: Page) -> list[int]:
    """The numbers of the events that the activity's screen shows, oldest first."""
    shown: list[str] = page.locator("[data-seq]:is(li)").evaluate_all("all => all.map(one => one.dataset.seq)")
    return sorted(int(seq) for seq in shown)


def axe_violations(page: Page) -> list[str]:
    """What is seriously wrong, each with an example."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['help']}): {one['nodes'][0]['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in AXE_IMPACTS
    ]


def horizontal_overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
