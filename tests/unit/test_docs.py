"""README and docs tell the same story as the code: what they name exists, and what must be named is.

A simple extractor: code spans and code blocks of the Markdown files, looked at for paths, links, make
targets, `spot` commands, variables, routes, problem types and names of tests.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest
import typer

from activities.settings import WorkerSettings, variable_name
from api.app import create_app
from api.http import problems
from api.settings import Settings
from api.views.autopilot import AutopilotChange
from api.views.servers import PolicyChange
from cli.main import app as spot
from domain.autopilot.policy import AutopilotPolicy, AutopilotPreferences
from domain.servers import ServerPolicy
from lab.stack.settings import REPOSITORY

DOCS = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
TEXTS = {str(path.relative_to(REPOSITORY)): path.read_text(encoding="utf-8") for path in DOCS}
EVERYTHING = "\n".join(TEXTS.values())

_FENCE = re.compile(r"^( *)```\w*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_PATH = re.compile(r"\.?\w[\w.-]*(/[\w.*-]+)*/?")
_VARIABLE = re.compile(r"\b((?:SPOT|TEMPORAL|LAB|MYSQL|DB|AWS)_[A-Z0-9_]*[A-Z0-9]|DATABASE_URL|PRICES|TESTS|PYTHON)\b")
_METHOD = r"(?:GET|POST|PATCH|PUT|DELETE)"
_MADE = ("var/", "log/", ".venv", "proof/benchmarks/results.json", "dashboard/dist")  # what the programs make
_OWN_MACHINE = {"LAB"}  # shell variables of the README's own


def blocks(text: str) -> list[str]:
    return [found.group(2) for found in _FENCE.finditer(text)]


def spans(text: str) -> list[str]:
    return _SPAN.findall(_FENCE.sub("", text))


def code(text: str) -> list[str]:
    """Every code span, and every line of every code block without its comment."""
    lines = [re.sub(r"(^|\s)# .*", "", line).strip() for block in blocks(text) for line in block.splitlines()]
    return [*spans(text), *lines]


def in_all() -> Iterator[tuple[str, str]]:
    for name, text in TEXTS.items():
        for one in code(text):
            yield name, one


def sources(*suffixes: str) -> Iterator[Path]:
    folders = (
        "activities",
        "agent",
        "api",
        "cli",
        "db",
        "deploy",
        "domain",
        "lab",
        "proof",
        "research",
        "tests",
        "workflows",
    )
    for folder in folders:
        yield from (p for p in (REPOSITORY / folder).rglob("*") if p.suffix in suffixes and p != Path(__file__))
    named = ("Makefile", "docker-compose.yml", ".env.example", "worker.py")
    yield from (REPOSITORY / name for name in named)


# --- files


def test_every_path_that_is_named_exists() -> None:
    entries = {entry.name for entry in REPOSITORY.iterdir()}
    missing = [
        f"{name}: {one}"
        for name, text in TEXTS.items()
        for one in spans(text)
        if _PATH.fullmatch(one) and one.split("/")[0] in entries and not one.startswith(_MADE)
        if not list(REPOSITORY.glob(one.rstrip("/")))
    ]
    assert not missing
    assert any("/" in one for one in spans(EVERYTHING)), "the extractor finds nothing"


def test_every_link_leads_somewhere() -> None:
    broken = []
    for name, text in TEXTS.items():
        for target in _LINK.findall(text):
            path, _, anchor = target.partition("#")
            file = (REPOSITORY / name).parent / path if path else REPOSITORY / name
            if not file.exists() or (anchor and anchor not in _anchors(file.read_text(encoding="utf-8"))):
                broken.append(f"{name}: {target}")
    assert not broken


def _anchors(text: str) -> set[str]:
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_stop_of_a_walk_is_in_the_code() -> None:
    stops = re.findall(r"^\d+\. `([^`]+)` `([^`]+)`", TEXTS["docs/design.md"], re.MULTILINE)
    assert len(stops) > 30, "the extractor finds nothing"
    missing = [f"{path} {name}" for path, name in stops if name not in _functions(REPOSITORY / path)]
    assert not missing


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_no_document_is_left_out() -> None:
    links = {target.partition("#")[0] for target in _LINK.findall(TEXTS["README.md"])}
    assert {name for name in TEXTS if name != "README.md"} <= links


def test_programs_that_are_named_can_be_started() -> None:
    for name, one in in_all():
        for module in re.findall(r"python -m ([\w.]+)", one):
            path = REPOSITORY / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{name}: {one}"


# --- commands


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    named = {(name, target) for name, one in in_all() for target in re.findall(r"\bmake ([a-z-]+)\b", one)}
    assert len(named) > 5
    assert {(name, target) for name, target in named if target not in targets} == set()


def spot_commands() -> Iterator[tuple[str, list[str]]]:
    for name, text in TEXTS.items():
        for one in code(text):
            for said in re.findall(r"(?:^|[\s(])spot ((?:--json |)[a-z][^#|)]*)", one):
                yield f"{name}: spot {said}", shlex.split(re.sub(r"<[^>]*>|'s?$", "X", said))


def test_every_spot_command_and_option_exists() -> None:
    wrong, count = [], 0
    for where, words in spot_commands():
        count += 1
        words = [word for word in words if word != "--json"]
        command: Any = typer.main.get_command(spot)
        while hasattr(command, "commands"):
            word = words.pop(0) if words else ""
            if word not in command.commands:
                wrong.append(f"{where}: no command {word!r}")
                break
            command = command.commands[word]
        else:
            wrong += [f"{where}: {one}" for one in _misused(command, words)]
    assert not wrong
    assert count > 20


def _misused(command: Any, words: list[str]) -> Iterator[str]:
    """Options that are none, and more or fewer arguments than the command takes."""
    options = {opt: param for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    given, taken = 0, set()
    rest = iter(words)
    for word in rest:
        if not word.startswith("-"):
            given += 1
        elif word not in options:
            yield f"no option {word}"
        else:
            taken.add(options[word].name)
            if not options[word].is_flag:
                next(rest, None)
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    least = sum(param.required for param in arguments)
    if words and not least <= given <= len(arguments):
        yield f"{given} arguments, not {least} to {len(arguments)}"
    missing = {p.name for p in command.params if p.required and p.param_type_name == "option"} - taken
    if words and missing:
        yield f"lacks {', '.join(sorted(missing))}"


# --- variables


def test_every_variable_that_is_named_is_read_somewhere() -> None:
    known = {f"SPOT_{name.upper()}" for name in Settings.model_fields}
    known |= {variable_name(name) for name in WorkerSettings.model_fields}
    for path in sources(".py", ".sh", ".yml"):
        known |= set(_VARIABLE.findall(path.read_text(encoding="utf-8")))
    known |= {"AWS_SECRET_ACCESS_KEY"}  # boto3's
    named = {(name, variable) for name, one in in_all() for variable in _VARIABLE.findall(one)}
    assert len(named) > 20
    assert {(name, variable) for name, variable in named if variable not in known | _OWN_MACHINE} == set()


def _read_by(file: str, pattern: str) -> set[str]:
    return set(re.findall(pattern, (REPOSITORY / file).read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("agent/settings.py", r'(?:value|environment\.get)\("(\w+)"'),
        ("lab/stack/settings.py", r'environment(?:\.get\(|, )"(\w+)"|_number\("(\w+)"'),
    ],
)
def test_every_variable_that_a_program_reads_is_named(file: str, pattern: str) -> None:
    found = _read_by(file, pattern)
    read = {name for match in found for name in ([match] if isinstance(match, str) else match) if name}
    assert read
    assert read - set(_VARIABLE.findall(EVERYTHING)) == set()


def test_every_setting_of_the_worker_is_named() -> None:
    read = {variable_name(name) for name in WorkerSettings.model_fields}
    assert {"DATABASE_URL", "SPOT_SIGNING_KEY"} <= read
    assert read - set(_VARIABLE.findall(EVERYTHING)) == set()


def test_every_setting_of_the_api_is_named() -> None:
    plain = {"database_url", "temporal_address", "temporal_namespace"}
    read = {name.upper() if name in plain else f"SPOT_{name.upper()}" for name in Settings.model_fields}
    assert read - set(_VARIABLE.findall(EVERYTHING)) == set()


# --- the API


@pytest.fixture(scope="module")
def routes() -> set[tuple[str, str]]:
    """Method and path of all that the API documents."""
    paths = create_app(None).openapi()["paths"]
    return {(method.upper(), path) for path, methods in paths.items() for method in methods}


def named_routes(text: str) -> set[tuple[str, str]]:
    """`POST`, `DELETE /api/x` names both."""
    plain = text.replace("`", "")
    found = re.findall(rf"((?:{_METHOD}, )*{_METHOD}) (/(?:api|health)[\w/{{}}]*(?:\.csv)?)", plain)
    return {(method, path) for methods, path in found for method in methods.split(", ")}


def test_the_calls_of_the_api_are_those_that_there_are(routes: set[tuple[str, str]]) -> None:
    assert named_routes(TEXTS["docs/api.md"]) == routes


def test_every_call_that_is_named_exists(routes: set[tuple[str, str]]) -> None:
    assert named_routes(EVERYTHING) <= routes


def test_every_address_in_an_example_exists(routes: set[tuple[str, str]]) -> None:
    called = {path for block in blocks(EVERYTHING) for path in re.findall(r"\$SPOT_URL(/[\w/{}-]*)", block)}
    assert called
    known = [re.compile(re.sub(r"{\w+}", "[^/]+", path)) for _, path in routes]
    assert {path for path in called if not any(one.fullmatch(path) for one in known)} == set()


def test_the_problem_types_are_those_that_there_are() -> None:
    table = TEXTS["docs/api.md"].split("## Problems")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    kinds = {one.slug: one.status for one in vars(problems).values() if isinstance(one, problems.ProblemKind)}
    assert {slug for row in rows for slug in re.findall(r"`([a-z-]+)`", row)} == set(kinds)
    for row in rows:
        statuses = {int(status) for status in row.split("|")[1].split("·")}
        assert {kinds[slug] for slug in re.findall(r"`([a-z-]+)`", row)} == statuses, row


def test_the_policy_is_told_with_its_defaults() -> None:
    told = _defaults(TEXTS["docs/api.md"].split("## Policy")[1])
    assert told.keys() == PolicyChange.model_fields.keys()
    assert told.keys() <= {field.name for field in fields(ServerPolicy)}
    assert told == {name: _plain(getattr(ServerPolicy(), name)) for name in told}


def test_the_autopilots_policy_is_told_with_its_defaults() -> None:
    told = _defaults(TEXTS["docs/autopilot.md"].split("## What its owner allows")[1])
    assert told.keys() == AutopilotChange.model_fields.keys()
    assert told == {field.name: getattr(AutopilotPolicy(), field.name) for field in fields(AutopilotPolicy)}


def _defaults(section: str) -> dict[str, Any]:
    """First two columns of a section's table: names, and their defaults."""
    told: dict[str, str] = {}
    for line in re.findall(r"^\| `.*", section.split("\n## ")[0], re.MULTILINE):
        names, defaults = (cell.strip().replace("`", "") for cell in line.split("|")[1:3])
        told |= dict(zip(names.split(" · "), defaults.split(" · "), strict=True))
    literal = re.compile(r"[\d\[{]|(null|true|false)$")
    return {name: json.loads(said) if literal.match(said) else said for name, said in told.items()}


def _plain(value: object) -> object:
    """A wish that leaves everything open is empty."""
    return (
        {name: one for name, one in asdict(value).items() if one is not None}
        if isinstance(value, AutopilotPreferences)
        else value
    )


def test_the_findings_are_those_that_there_are() -> None:
    listed = TEXTS["docs/api.md"].split("## Findings")[1].split("\n## ")[0]
    codes: set[str] = set()
    for file in ("domain/adoption_rules.py", "domain/resumption.py", "workflows/operations/planning.py"):
        codes |= set(re.findall(r'Finding\(\s*"(\w+)"', (REPOSITORY / file).read_text()))
    assert set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", listed)) - {"dry_run"} == codes


# --- what else is told by name


def test_every_test_that_is_named_exists() -> None:
    known: set[str] = set()
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        known |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    named = {one for one in spans(EVERYTHING) if re.fullmatch(r"test_\w+", one)}
    assert named
    assert named - known == set()


def test_the_statements_of_the_iam_policy_are_told() -> None:
    policy = json.loads((REPOSITORY / "deploy/aws/iam-policy.json").read_text())
    table = TEXTS["README.md"].split("### 1.")[1].split("### 2.")[0]
    cells = [line.split("|")[1] for line in re.findall(r"^\| `.*", table, re.MULTILINE)]
    assert {sid for cell in cells for sid in spans(cell)} == {one["Sid"] for one in policy["Statement"]}


def test_the_reasons_for_attention_are_those_that_the_workflows_give() -> None:
    table = TEXTS["docs/operations.md"].split("needs attention\n")[1].split("\n## ")[0]
    reasons = [one for line in re.findall(r"^\| `.*", table, re.MULTILINE) for one in spans(line.split("|")[1])]
    source = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "workflows").rglob("*.py"))
    source = source.replace("{which} snapshots", "early snapshots") + source.replace(
        "{which} snapshots", "final snapshots"
    )
    told = [piece.strip() for reason in reasons for piece in reason.split("…")]
    assert told
    assert [piece for piece in told if piece not in source] == []
    undone = set(re.findall(r'undo\.register\(\s*f?"([^"{]+)', source)) - {"the replica is a replica again"}
    assert {one.strip() for one in undone} <= set(told)


def test_the_steps_of_the_operations_are_told() -> None:
    table = TEXTS["docs/design.md"].split("### Order of steps")[1].split("\n### ")[0]
    steps: set[str] = set()
    for path in (REPOSITORY / "workflows").rglob("*.py"):
        steps |= set(re.findall(r'op\.step\("(\w+)"', path.read_text(encoding="utf-8")))
    assert len(steps) > 5
    assert {step for step in steps if not re.search(rf"\b{step}\b", table)} == set()
