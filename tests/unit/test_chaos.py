"""What a chaos run draws from its seed, what it refuses to run, and what it finds in a worker's log."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from proof.chaos import run
from proof.chaos.fault_injector import draw_faults
from proof.harness import invariants


def test_a_chaos_run_has_its_outage_and_its_partition_and_is_drawn_from_its_seed() -> None:
    faults = draw_faults(1, 600.0)
    assert faults == draw_faults(1, 600.0) != draw_faults(2, 600.0)
    assert [fault.at_s for fault in faults] == sorted(fault.at_s for fault in faults)
    assert {fault.what: fault.lasts_s for fault in faults}["outage"] == 60.0
    assert sum(fault.what == "partition" for fault in faults) == 1
    assert len(faults) > 150


def test_a_history_that_a_worker_could_not_replay_is_found_in_its_log(tmp_path: Path) -> None:
    site: Any = SimpleNamespace(stack=SimpleNamespace(settings=SimpleNamespace(logs=tmp_path)))
    (tmp_path / "worker-1.log").write_text("INFO all is well\n")
    assert invariants.nondeterminism_errors(site) == []
    failed = 'WARN Failing workflow task failure: "[TMPRL1100] Nondeterminism error: Activity machine does not handle"'
    (tmp_path / "worker-2.log").write_text(f"INFO all is well\n{failed}\n")
    assert invariants.nondeterminism_errors(site) == [f"9: worker-2.log: {failed}"]


@pytest.mark.parametrize("minutes", ["0", "-3", "nan", "inf", "ten", ""])
def test_a_run_that_has_no_time_is_refused(minutes: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        run.main([f"--minutes={minutes}"])
    assert refused.value.code == 2
    assert f"{minutes!r} is no time to run; write minutes, more than 0: 10" in capsys.readouterr().err
