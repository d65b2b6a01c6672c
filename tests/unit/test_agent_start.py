"""The agent's start: its settings, its log lines, and how little it loads."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.settings import IMDS, SettingsError, read_settings

ROOT = Path(__file__).parents[2]
NEVER = ("sqlalchemy", "fastapi", "boto3", "botocore", "pydantic", "click", "rich", "lab", "db", "prometheus_client")
LOAD_ALL = f"""
import sys
import agent.__main__
assert "temporalio" not in sys.modules, "temporalio is loaded while IMDS answers, not before"
from agent.lean_imports import lean_imports
with lean_imports():
    import agent.agent, agent.serve
print([name for name in {NEVER!r} if name in sys.modules])
print([str(one.__file__) for one in list(sys.modules.values()) if getattr(one, "__file__", None)])
"""


@pytest.fixture(scope="module")
def loaded() -> list[list[str]]:
    """Modules that it must not load, and the files of those that it has."""
    found = subprocess.run([sys.executable, "-c", LOAD_ALL], capture_output=True, text=True, check=True, cwd=ROOT)
    return [ast.literal_eval(line) for line in found.stdout.splitlines()]


def test_the_agent_loads_no_more_than_it_needs(loaded: list[list[str]]) -> None:
    assert loaded[0] == []


def test_the_installer_copies_all_of_ours_that_the_agent_loads(loaded: list[list[str]]) -> None:
    script = (ROOT / "deploy/agent/install.sh").read_text()
    copied = tuple(f"{ROOT}/{name}" for name in re.findall(r'"\$source/(\w[\w/.]*)"', script))
    ours = [file for file in loaded[1] if file.startswith(f"{ROOT}/") and ".venv" not in file]
    assert f"{ROOT}/telemetry/logs.py" in ours
    assert [file for file in ours if not file.startswith(copied)] == []


def test_what_was_hidden_while_loading_can_be_imported_afterwards() -> None:
    script = "from agent.lean_imports import lean_imports\nwith lean_imports(): pass\nimport pydantic, click"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.json"
    file.write_text(json.dumps({"spot_control_url": "http://file/", "spot_token": "from-file"}))
    settings = read_settings({"SPOT_AGENT_CONFIG": str(file), "SPOT_CONTROL_URL": "https://environment/"})
    assert (settings.control_url, settings.token) == ("https://environment", "from-file")


def test_an_empty_variable_is_not_given() -> None:
    settings = read_settings({"SPOT_TEMPORAL_ADDRESS": "t:7233", "AWS_EC2_METADATA_SERVICE_ENDPOINT": ""})
    assert (settings.imds, settings.temporal_namespace) == (IMDS, "default")


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "SPOT_CONTROL_URL"),
        ({"SPOT_CONTROL_URL": "http://c"}, "SPOT_TOKEN"),
        ({"SPOT_CONTROL_URL": "c:80", "SPOT_TOKEN": "t"}, "http://"),
        ({"SPOT_TEMPORAL_ADDRESS": "t:7233", "SPOT_LOG_LEVEL": "loud"}, "LOUD"),
        ({"SPOT_AGENT_CONFIG": "/nowhere/agent.json"}, "/nowhere/agent.json"),
    ],
)
def test_a_setting_that_is_missing_or_wrong_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_settings(environment)


def test_the_token_is_in_no_representation_of_the_settings() -> None:
    settings = read_settings({"SPOT_CONTROL_URL": "http://c", "SPOT_TOKEN": "very-secret"})
    assert "very-secret" not in repr(settings)


def test_an_agent_without_settings_says_what_to_set_and_does_not_restart_in_a_loop() -> None:
    ended = subprocess.run([sys.executable, "-m", "agent"], capture_output=True, text=True, env={}, cwd=ROOT)
    assert ended.returncode == 78
    line = json.loads(ended.stderr)
    assert "SPOT_CONTROL_URL" in line["message"]
    assert (line["level"], line["logger"], line["instance"]) == ("ERROR", "agent", "")


def test_a_thread_that_dies_of_a_defect_ends_the_agent_to_be_started_again() -> None:
    script = (
        "import threading; from agent.__main__ import _exit_on_defect; threading.excepthook = _exit_on_defect\n"
        "thread = threading.Thread(target=lambda: 1 / 0, name='watch'); thread.start(); threading.Event().wait()"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert ended.returncode == 70
    assert "the thread watch died" in ended.stderr
