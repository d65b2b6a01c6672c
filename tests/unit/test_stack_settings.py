"""Settings, credentials and the state file: read, refused and kept as promised."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lab.stack import credentials, settings, state
from lab.stack.settings import InvalidSetting
from lab.stack.state import Phase, StackLock, StackState


def test_without_variables_everything_has_its_default(tmp_path: Path) -> None:
    chosen = settings.from_environment({}, var=tmp_path, standard_ports=True)
    assert (chosen.profile, chosen.workers, chosen.prices, chosen.database_url) == ("fast", 1, None, "")


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PRICES", "no/such/file.csv"), ("LAB_PROFILE", "slow"), ("SPOT_WORKERS", "0"), ("LAB_SEED", "x")],
)
def test_a_value_that_cannot_be_is_named(variable: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match=f"{variable}='{value}'"):
        settings.from_environment({variable: value}, var=tmp_path, standard_ports=True)


def test_programs_do_not_see_the_users_aws_account_or_proxy() -> None:
    seen = settings.inherited({"AWS_PROFILE": "production", "HTTPS_PROXY": "http://proxy", "PATH": "/bin"})
    assert "AWS_PROFILE" not in seen
    assert "HTTPS_PROXY" not in seen
    assert seen["PATH"] == "/bin"


def test_credentials_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    made = credentials.load_or_make(tmp_path)
    assert made.admin_token.startswith("spt_admin_")
    assert len(made.admin_token.split("_")) == 4
    assert credentials.load_or_make(tmp_path) == made
    assert stat.S_IMODE(credentials.path_in(tmp_path).stat().st_mode) == 0o600


def test_a_saved_client_is_found_again(tmp_path: Path) -> None:
    credentials.save(tmp_path, credentials.load_or_make(tmp_path).with_client("cli_1", "spt_client_1_x"))
    assert credentials.load_or_make(tmp_path).client_token == "spt_client_1_x"


def test_one_supervisor_holds_a_folder(tmp_path: Path) -> None:
    first, second = StackLock(tmp_path), StackLock(tmp_path)
    assert not state.is_locked(tmp_path)
    assert first.take()
    assert not second.take()
    assert state.is_locked(tmp_path)
    first.close()
    assert second.take()
    second.close()


def test_the_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert state.read(tmp_path) is None
    written = StackState(Phase.READY, os.getpid(), {"api": "http://127.0.0.1:1"}, {"api": 1}, {"api": 2})
    state.write(tmp_path, written)
    assert state.read(tmp_path) == written
