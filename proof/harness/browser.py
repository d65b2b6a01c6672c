"""The system's Chromium, driven by Playwright: no browser is downloaded; where there is none, apt brings it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from lab.stack import apt

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# As root and on a machine without a display; nothing is asked of anybody but the page's own origin.
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
    """It is not here, and cannot be installed."""


def find_or_install() -> str:
    """The path of a Chromium; raises NoChromium with what to do."""
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
    """A browser of its own; closed, with all that it has open, at the end."""
    path = find_or_install()
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=list(_FLAGS))
        try:
            yield running
        finally:
            running.close()


def _find() -> str | None:
    return next((path for name in _NAMES if (path := shutil.which(name))), None)
