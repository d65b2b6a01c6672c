"""`python -m proof.structure [FOLDER]`: how large the code is, piece by piece. FOLDER is another checkout, to compare with.

Counted are the Python files that git tracks, migrations aside; a function's length is from its `def` to its last line,
and a circle is a set of modules that import each other, imports for type checking included.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

SHORT = 30  # lines: a file under this rarely deserves to be one
TESTS = "tests/"


@dataclass(frozen=True)
class SourceFile:
    path: str
    lines: int
    tree: ast.Module

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@dataclass(frozen=True)
class NamedLength:
    name: str
    lines: int


def read(folder: Path) -> list[SourceFile]:
    files = []
    for path in _tracked(folder):
        if path.endswith(".py") and "/versions/" not in path:
            text = (folder / path).read_text(encoding="utf-8")
            files.append(SourceFile(path, text.count("\n"), ast.parse(text)))
    return files


def _tracked(folder: Path) -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=folder, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.splitlines() if (folder / path).is_file()]


def functions(files: list[SourceFile]) -> list[NamedLength]:
    return [
        NamedLength(f"{file.path} {node.name}", (node.end_lineno or node.lineno) - node.lineno + 1)
        for file in files
        for node in ast.walk(file.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def imports(files: list[SourceFile]) -> dict[str, set[str]]:
    """Which module imports which, of these files alone."""
    known = {file.module for file in files}
    return {file.module: {one for one in _imported(file.tree, known) if one != file.module} for file in files}


def _imported(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in known or node.module in known:
                    yield submodule if submodule in known else node.module


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Strongly connected sets of more than one module (Tarjan, SIAM J. Comput. 1972)."""
    found: list[list[str]] = []
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        path.append(module)
        for imported in graph.get(module, ()):
            if imported not in index:
                visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in path:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            members = path[path.index(module) :]
            del path[path.index(module) :]
            if len(members) > 1:
                found.append(sorted(members))

    for module in graph:
        if module not in index:
            visit(module)
    return found


def main(folder: Path) -> None:
    everything = read(folder)
    product = [file for file in everything if not file.path.startswith(TESTS)]
    lengths = functions(product)
    longest_file = max(product, key=lambda file: file.lines)
    longest = max(lengths, key=lambda one: one.lines)
    found = circles(imports(product))
    top = {path.split("/")[0] for path in _tracked(folder)}
    rows = [
        ("entries at the top level", len(top)),
        ("... of them folders without a dot", sum((folder / one).is_dir() and one[0] != "." for one in top)),
        ("Python files, tests included", len(everything)),
        ("Python files without tests", len(product)),
        (f"... of them under {SHORT} lines, package files aside", sum(_short(file) for file in product)),
        ("lines without tests", sum(file.lines for file in product)),
        ("median file, lines", round(median(file.lines for file in product))),
        ("longest file", f"{longest_file.lines} {longest_file.path}"),
        ("median function, lines", round(median(one.lines for one in lengths))),
        ("longest function", f"{longest.lines} {longest.name}"),
        ("circles of modules", len(found)),
    ]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")
    for circle in found:
        print(f"  circle: {' '.join(circle)}")


def _short(file: SourceFile) -> bool:
    return file.lines < SHORT and not file.path.endswith("__init__.py")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
