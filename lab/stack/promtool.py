"""promtool, which tries the alert rules: found on this machine, or installed from its distribution."""

from __future__ import annotations

import shutil

from lab.stack import apt

PACKAGE = "prometheus"


class PromtoolUnavailable(Exception):
    """It is not here and could not be installed; says what to do."""


def find_or_install() -> str:
    """The path of the program."""
    try:
        found = apt.find_or_install(lambda: shutil.which("promtool"), "promtool", PACKAGE)
    except apt.CannotInstall as error:
        raise PromtoolUnavailable(f"no promtool is here, and {error}: sudo apt-get install {PACKAGE}") from error
    if found is None:
        raise PromtoolUnavailable(f"{PACKAGE} was installed, but promtool is not to be found")
    return found
