"""EC2's placement scores, 1 to 10: how likely a zone has capacity for one more instance of some types.

EC2 answers for a set of types, grants few new sets a day, and calls an answer for fewer than three types
useless (EC2 user guide, "Spot placement score"). So each kind of server is asked for with the types of its
own size, and a pool has the lowest score of the sets that its type is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from domain.ranking import TypeFacts

FEWEST_TYPES = 3
MOST_TYPES = 10  # in one question
MOST_GROUPS = 8  # questions of a region


@dataclass(frozen=True, slots=True)
class PoolScore:
    """`fallen`: by how much it is below the best of the last day."""

    score: int
    fallen: int = 0


def types_asked_together(home: TypeFacts, possible: Mapping[str, TypeFacts]) -> list[str]:
    """The types to ask for together: the home type and those nearest to it in size; [] when they are too few."""
    near = sorted(
        (kind for kind in possible.values() if kind.name != home.name),
        key=lambda kind: (kind.vcpus, kind.memory_mib, kind.name),
    )
    names = [home.name, *(kind.name for kind in near)][:MOST_TYPES]
    return sorted(names) if len(names) >= FEWEST_TYPES else []


def latest_scores(told: Iterable[tuple[Sequence[str], str, int]]) -> dict[tuple[str, str], PoolScore]:
    """(zone, type) -> score, from the scores of the last day: (types, zone, score) in the order of time."""
    now: dict[tuple[tuple[str, ...], str], int] = {}
    best: dict[tuple[tuple[str, ...], str], int] = {}
    for types, zone, score in told:
        key = (tuple(types), zone)
        now[key], best[key] = score, max(score, best.get(key, 0))
    found: dict[tuple[str, str], PoolScore] = {}
    for (types, zone), score in now.items():
        one = PoolScore(score, best[tuple(types), zone] - score)
        for name in types:
            known = found.get((zone, name))
            if known is None or (one.score, -one.fallen) < (known.score, -known.fallen):
                found[zone, name] = one
    return found
