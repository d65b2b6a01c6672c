from __future__ import annotations

from itertools import pairwise

from tests.file_order import in_order

OTHERS = [f"tests/integration/test_{number}.py" for number in range(20)] + [
    f"tests/unit/test_{n}.py" for n in range(50)
]
WHOLE = ["tests/e2e/test_bad_input.py", "tests/e2e/test_crash_matrix.py", "tests/e2e/test_faults.py"]


def test_every_file_is_run_once_and_the_longest_begins() -> None:
    ordered = in_order([*OTHERS, *WHOLE])
    assert sorted(ordered) == sorted([*OTHERS, *WHOLE])
    assert ordered[0] == "tests/e2e/test_crash_matrix.py"


def test_end_to_end_tests_are_spread_over_the_others() -> None:
    ordered = in_order([*WHOLE, *OTHERS])
    places = [ordered.index(one) for one in ordered if one in WHOLE]
    assert all(later - earlier >= 5 for earlier, later in pairwise(places))
    assert places[-1] < len(OTHERS) - 20


def test_end_to_end_tests_alone_are_run_too() -> None:
    assert sorted(in_order(WHOLE)) == sorted(WHOLE)
    assert in_order([]) == []
