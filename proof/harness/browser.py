"""A person at the page: the system's Chromium, driven by Playwright, and one signed-in browser profile with its tabs.

No browser is downloaded. Where there is none, apt installs it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Request, expect, sync_playwright

from lab.stack import apt
from lab.stack.settings import REPOSITORY

Theme = Literal["light", "dark"]
WIDE, PHONE = (1440, 900), (390, 844)
SIZES = {"1440": WIDE, "390": PHONE}
PATIENCE_MS = 60_000
AXE = REPOSITORY / "dashboard" / "node_modules" / "axe-core" / "axe.min.js"
AXE_IMPACTS = ("serious", "critical")
SCREENS = REPOSITORY / "var" / "screens"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
# It runs as root, without a display, and sends no requests of its own.
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_PACKAGES = ("chromium", "fonts-dejavu")


class ChromiumUnavailable(Exception):
    """There is no Chromium, and it could not be installed."""


def find_or_install() -> str:
    """The path of a Chromium. Raises ChromiumUnavailable, which says what to install."""
    try:
        found = apt.find_or_install(_find, "page", *_PACKAGES)
    except apt.CannotInstall as error:
        raise ChromiumUnavailable(
            f"the page's tests run in Chromium, and {error}: apt-get install {_PACKAGES[0]}"
        ) from error
    if found is None:
        raise ChromiumUnavailable("install Chromium (apt-get install chromium): the page's tests run in it")
    return found


@contextmanager
def browser() -> Iterator[Browser]:
    """A new browser process. It is closed at the end, with every tab."""
    path = find_or_install()
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield running
        finally:
            running.close()


def _find() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@dataclass
class BrowserSession:
    """`foreign_requests`: requests to another origin. `console_errors`: errors and warnings in the browser's console,
    violations of the content security policy included.
    """

    context: BrowserContext
    url: str
    foreign_requests: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)

    def tab(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        page.goto(path)
        return page

    def sign_in(self, token: str) -> Page:
        """Sign in; returns the tab, at its first screen and connected."""
        page = self.tab()
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        expect(live_marker(page)).to_be_visible(timeout=PATIENCE_MS)
        return page

    def note_request(self, request: Request) -> None:
        if not request.url.startswith((self.url, "blob:", "data:")):
            self.foreign_requests.append(request.url)

    def _on_console(self, message: ConsoleMessage) -> None:
        # The browser logs every failed request, and some tests cause failures on purpose.
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
    context.set_default_timeout(PATIENCE_MS)
    session = BrowserSession(context, url)
    context.on("request", session.note_request)
    return session


def take_screenshot(page: Page, name: str) -> None:
    """A picture for people to look at, in var/screens."""
    SCREENS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENS / f"{name}.png")


def live_marker(page: Page) -> Locator:
    """An element that exists only while the tab is connected."""
    return page.locator('[data-connection="live"]')


def server_row(page: Page, server_id: str) -> Locator:
    return page.locator(f'[data-server="{server_id}"]')


def event_numbers(page: Page) -> list[int]:
    """Numbers of the events on the activity screen, oldest first."""
    shown: list[str] = page.locator("[data-seq]:is(li)").evaluate_all("all => all.map(one => one.dataset.seq)")
    return sorted(int(seq) for seq in shown)


def axe_violations(page: Page) -> list[str]:
    """Serious and critical violations of accessibility rules, each with an example."""
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{one['id']} ({one['help']}): {one['nodes'][0]['html'][:160]}"
        for one in found["violations"]
        if one["impact"] in AXE_IMPACTS
    ]


def horizontal_overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
