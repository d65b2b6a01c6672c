"""The page's own tests (Vitest) are part of the suite."""

from __future__ import annotations

import subprocess

from lab.stack.settings import REPOSITORY


def test_the_pages_own_tests_pass() -> None:
    """Where Node cannot be had this fails, and says how to get it."""
    done = subprocess.run(
        ["bash", "lab/stack/dashboard.sh", "test"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    assert "passed" in done.stdout
