"""`python3 .ci/report.py FOLDER`: how long each part of a run took, its ten slowest test files, and what passed.

FOLDER holds `parts`, lines of seconds and a name, and one JUnit file for each run of the suite.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

SLOWEST = 10


def main(folder: Path) -> None:
    seconds: Counter[str] = Counter()
    passed = failed = skipped = 0
    for path in sorted(folder.glob("*.xml")):
        for case in ElementTree.parse(path).iter("testcase"):
            seconds[f"{_file(case)} on {path.stem}"] += float(case.get("time", 0))
            kinds = {child.tag for child in case}
            failed += bool(kinds & {"failure", "error"})
            skipped += "skipped" in kinds
            passed += not kinds & {"failure", "error", "skipped"}
    print("\nThe slowest files, in seconds of their tests:")
    for name, spent in seconds.most_common(SLOWEST):
        print(f"{spent:8.1f}  {name}")
    print("\nThe parts, in seconds:")
    for line in (folder / "parts").read_text().splitlines():
        spent_s, _, name = line.partition(" ")
        print(f"{spent_s:>8}  {name}")
    print(f"\n{passed} passed, {failed} failed, {skipped} skipped")


def _file(case: ElementTree.Element) -> str:
    """`tests.unit.test_pace` of the class name that JUnit's format has for a module's function or a class's method."""
    parts = case.get("classname", "").split(".")
    last = next((number for number, part in enumerate(parts) if part.startswith("test_")), len(parts) - 1)
    return "/".join(parts[: last + 1]) + ".py"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
