from __future__ import annotations

import os
from pathlib import Path

from tests.memory_folder import memory_folder


def test_a_folder_in_memory_is_deleted_and_so_is_one_of_a_session_that_was_killed(tmp_path: Path) -> None:
    ended = tmp_path / "spot-optimizer-test-4999999"  # above the largest process ID of Linux
    ended.mkdir()
    with memory_folder(tmp_path / "disk", tmp_path) as folder:
        assert folder == tmp_path / f"spot-optimizer-test-{os.getpid()}"
        assert folder.is_dir()
        assert not ended.exists()
    assert not folder.exists()


def test_where_there_is_no_such_memory_the_disk_does(tmp_path: Path) -> None:
    with memory_folder(tmp_path / "disk", tmp_path / "none") as folder:
        assert folder == tmp_path / "disk"
