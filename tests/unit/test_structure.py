"""What keeps the house in order: no circles, no file that nobody reads to its end, and a count that counts."""

from __future__ import annotations

import ast

import pytest

from lab.stack.settings import REPOSITORY
from proof import structure
from proof.structure import SourceFile, circles, functions, imports

LONGEST_FILE = 400  # lines, tests included


@pytest.fixture(scope="module")
def files() -> list[SourceFile]:
    return structure.read(REPOSITORY)


def test_no_modules_import_each_other_in_a_circle(files: list[SourceFile]) -> None:
    assert circles(imports(files)) == []


def test_no_file_is_longer_than_can_be_read(files: list[SourceFile]) -> None:
    assert [f"{one.path}: {one.lines} lines" for one in files if one.lines > LONGEST_FILE] == []


def test_a_circle_is_found_also_where_it_is_for_type_checking() -> None:
    first = _file("room/first.py", "from room import second\n")
    second = _file("room/second.py", "if TYPE_CHECKING:\n    from room.third import Name\n")
    third = _file("room/third.py", "def work():\n    import room.first\n")
    other = _file("other.py", "import room.first\n")
    assert circles(imports([first, second, third, other])) == [["room.first", "room.second", "room.third"]]


def test_a_function_is_as_long_as_its_lines() -> None:
    (found,) = functions([_file("a.py", "def work():\n    first()\n    second()\n")])
    assert (found.name, found.lines) == ("a.py work", 3)


def _file(path: str, text: str) -> SourceFile:
    return SourceFile(path, text.count("\n"), ast.parse(text))
