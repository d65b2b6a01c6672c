"""One word for one thing (docs/design.md, Words): retired words do not come back, and names say what things are."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.stack.settings import REPOSITORY

# Retired word -> what to write instead. Looked for in names, file names, comments, messages and documents.
RETIRED = {
    "afresh": "reconsider, or again",
    "never_ahead": "replay_guard",
    "NeverAhead": "ReplayGuardRunner",
    "notice_desk": "notice_responder",
    "NoticeDesk": "NoticeResponder",
    "carry_out": "run_to_outcome",
    "hand_over": "run_handoff",
    "wind_up": "finish_handoff",
    "still_holds": "reconsider_decision",
    "only_decided": "decided_pool_only",
    "first_ready": "launch_hedged",
    "forgive_abort": "clear_abort",
    "still_wanted": "stop_if_cancelled",
    "LetGo": "StopRequested",
    "nursery": "prefork",
    "genesis": "initial resources",
    "aftermath": "findings",
    "machine_room": "process_hosts",
    "MachineRoom": "ProcessHosts",
    "TcpFront": "TcpForwarder",
    "tcp_front": "tcp_forwarder",
    "tiny_http": "http_server",
    "lean_http": "http_pool",
    "wire_agent": "simulated_agent",
    "WireAgent": "SimulatedAgent",
    "fleet_of_rows": "simulated_fleet",
    "usual_scripts": "baseline_scripts",
    "plain_script": "move_script",
    "share_rig": "share_pair",
    "SqlGate": "SqlProxy",
    "sql_gate": "sql_proxy",
    "facts_for_hosts": "instance_facts",
    "past_the_way": "direct_url",
    "DemoFailed": "ScenarioFailed",
    "OperationsError": "WorkflowCallError",
    "token_memory": "token_cache",
    "TokenMemory": "TokenCache",
    "models_registry": "forecast_models.registry",
    "DatabaseNotThere": "DatabaseNotReachable",
    "AnotherAccrues": "AccrualBusy",
    "dbfixtures": "database_fixtures",
    "dbserver": "database_schemas",
    "fleetrecords": "fleet_records",
    "own_process": "replay_process",
    "lived_through": "pool_reliability",
    "told_by": "from_clients",
    "ServerPast": "ServerHistory",
    "PoolPast": "PoolHistory",
    "RunBacktest": "RunBacktestInput",
    "TellWeek": "WeeklySummaryInput",
    "agentless": "server_without_agent",
    "keeps_old_s": "keep_old_seconds",
    "models_registry.py": "forecast_models/registry.py",
}
# Retired as names alone: as English words they may stand in a sentence.
RETIRED_NAMES = {
    "attendance": "workflow_liveness",
    "genesis": "initial_resources",
    "linger": "keep the old instance",
    "lingering": "keeping_old",
    "lingers": "keeps_old_instance",
    "hurry": "stop_keeping_old",
    "hurried": "keeping_cut_short",
    "wired": "connect_signals",
    "mint": "issue_token",
    "minted": "issued",
    "nearby": "neighbouring_runs",
    "stalls": "market_choice",
    "struck": "run_cell",
    "sideways": "horizontal_overflow",
}
# Class names of one word that say only that something was done, or stand for anything.
BARE = re.compile(
    r"_?([A-Z][a-z]+ed|Known|Told|Seen|Made|Kept|Found|Held|Lost|Shown|Said|Kind|Thing|Data|Manager|Helper)"
)
# Past participles that are the field's own nouns.
OWN_WORDS: set[str] = set()
MADE = ("tests/replay/histories/", "dashboard/package-lock.json", "dashboard/openapi.json", "requirements/")
TEXTS = {".py", ".md", ".toml", ".sh", ".yml", ".service", ".ts", ".tsx"}


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.splitlines() if not name.startswith(MADE)]
    return [
        REPOSITORY / name for name in names if (REPOSITORY / name).is_file() and REPOSITORY / name != Path(__file__)
    ]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        if path.suffix in TEXTS or path.name == "Makefile":
            yield str(path.relative_to(REPOSITORY)), path.read_text(encoding="utf-8")


def names_in(source: str) -> set[str]:
    return {
        token.string for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == tokenize.NAME
    }


def found_retired(name: str, text: str) -> list[str]:
    words = set(re.findall(r"\w+", text)) | set(re.findall(r"\w+", name))
    found = [f"{name}: {word} (write {RETIRED[word]})" for word in sorted(words & RETIRED.keys())]
    if name.endswith(".py"):
        names = names_in(text) | {Path(name).stem}
        found += [f"{name}: {word} (write {RETIRED_NAMES[word]})" for word in sorted(names & RETIRED_NAMES.keys())]
    return found


def bare_classes(name: str, text: str) -> list[str]:
    classes = [node.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ClassDef)]
    return [f"{name}: class {one}" for one in classes if BARE.fullmatch(one) and one not in OWN_WORDS]


def test_no_retired_word_comes_back() -> None:
    assert not [one for name, text in texts() for one in found_retired(name, text)]


def test_no_class_is_named_by_a_bare_participle() -> None:
    found = [one for name, text in texts() if name.endswith(".py") for one in bare_classes(name, text)]
    assert not found, f"{found}: name the thing, not what happened to it"


def test_no_text_cites_a_document_that_is_not_here() -> None:
    cited = re.compile(r"\b[A-Z][A-Z_]{2,}\.md\b|\(DESIGN\b|\bDESIGN's\b")
    missing = [
        f"{name}: {one}"
        for name, text in texts()
        for one in cited.findall(text)
        if not list(REPOSITORY.glob(f"**/{one}")) or one.startswith(("(", "DESIGN"))
    ]
    assert not missing


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("docs/a.md", "See the `notice_desk`."),
        ("workflows/a.py", "# as the NoticeDesk does\n"),
        ("workflows/a.py", "def hurry() -> None: ...\n"),
        ("workflows/attendance.py", ""),
    ],
)
def test_a_retired_word_is_found(name: str, text: str) -> None:
    assert found_retired(name, text)


def test_a_bare_participle_is_found() -> None:
    assert bare_classes("a.py", "class Looked: ...\nclass LookResult: ...\n") == ["a.py: class Looked"]
