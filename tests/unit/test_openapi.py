"""What the API promises is written down, current, and clear enough to make types of."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from api.openapi import document
from lab.stack.settings import REPOSITORY

WRITTEN = REPOSITORY / "dashboard" / "openapi.json"


@pytest.fixture(scope="module")
def promised() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def operations(promised: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in promised["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_the_committed_document_is_what_the_code_promises() -> None:
    assert WRITTEN.read_text(encoding="utf-8") == document(), "run `make openapi` and commit dashboard/openapi.json"


def test_another_process_writes_the_same_bytes_and_starts_nothing() -> None:
    argv = [sys.executable, "-m", "api.openapi"]
    environment = {"PYTHONHASHSEED": "7", "PATH": ""}
    done = subprocess.run(argv, cwd=REPOSITORY, env=environment, capture_output=True, check=True)
    assert done.stdout.decode() == document()


def test_every_call_has_a_name_of_its_own(promised: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(promised)]
    assert len(names) == len(set(names)) > 30
    assert all(name.replace("_", "").isalpha() for name in names)


def test_every_answer_has_a_type(promised: dict[str, Any]) -> None:
    untyped = []
    for name, operation in operations(promised):
        for status, answer in operation["responses"].items():
            content = answer.get("content", {})
            if status.startswith("2") and status != "204" and "text/event-stream" not in content:
                untyped += [f"{name}: {status}"] if not any(one.get("schema") for one in content.values()) else []
    assert untyped == []
