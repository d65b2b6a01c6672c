"""The order in which the files of tests are begun, where several run side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# The longest first, since what begins last ends last; other files of tests/e2e follow.
LONGEST = ("test_crash_matrix", "test_dashboard", "test_reconciliation", "test_faults_aws", "test_demo")
# End-to-end tests have begun once this part of the others' work has: none is left alone at the end.
BEGUN_BY = 0.8
WEIGHTS = {"tests/unit": 1.0}  # of a file, for its work; the others wait for servers
USUAL_WEIGHT = 10.0


def in_order(files: Sequence[str]) -> list[str]:
    """End-to-end tests, spread over the others: each has six processes, which would slow down those of all at once."""
    whole = sorted((one for one in files if one.startswith("tests/e2e")), key=_length)
    others = [one for one in files if one not in set(whole)]
    total, done, ordered = sum(map(_weight, others)), 0.0, list[str]()
    for one in others:
        while whole and done >= total * BEGUN_BY * _share(whole, files):
            ordered.append(whole.pop(0))
        ordered.append(one)
        done += _weight(one)
    return [*ordered, *whole]


def _share(left: Sequence[str], files: Sequence[str]) -> float:
    """Which part of the end-to-end files has begun."""
    count = sum(one.startswith("tests/e2e") for one in files)
    return (count - len(left)) / count


def _length(path: str) -> tuple[int, str]:
    name = path.rsplit("/", 1)[-1].removesuffix(".py")
    return (LONGEST.index(name) if name in LONGEST else len(LONGEST), name)


def _weight(path: str, weights: Mapping[str, float] = WEIGHTS) -> float:
    return next((weight for folder, weight in weights.items() if path.startswith(folder)), USUAL_WEIGHT)
