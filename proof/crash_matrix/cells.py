"""Where a worker or an agent may be killed in an operation, read from a run in which nothing was killed."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

BEFORE, AFTER = "before", "after"
GIVEN_UP = "given-up"  # as `after`, and the operation is cancelled while no worker runs
WORKER, AGENT = "worker", "agent"
_NOT_EC2 = frozenset({"sqs", "sts"})
_LOOKING = ("Describe", "Get", "List")


@dataclass(frozen=True)
class KillPoint:
    """A call to EC2 (`ec2`), a COMMIT (`db`) or a hook of a host activity (`host`); the nth of its name."""

    kind: str
    name: str
    nth: int = 1
    changes: bool = True


@dataclass(frozen=True)
class Cell:
    scenario: str
    place: KillPoint
    moment: str
    victim: str = WORKER

    @property
    def name(self) -> str:
        where = f"{self.scenario}/{self.place.kind}/{self.place.name}#{self.place.nth}/{self.moment}"
        return where if self.victim == WORKER else f"{where}/{self.victim}"


def cells_of_scenario(scenario: str, places: Iterable[KillPoint], *, cancels: bool) -> list[Cell]:
    """A kill before and one after each place; on a host also kills of the agent. `cancels`: it can be cancelled."""
    found = []
    for place in places:
        victims = (WORKER, AGENT) if place.kind == "host" else (WORKER,)
        found += [Cell(scenario, place, moment, victim) for victim in victims for moment in (BEFORE, AFTER)]
        if cancels and place.kind == "ec2" and place.changes:
            found.append(Cell(scenario, place, GIVEN_UP))
    return found


def ec2_kill_points(calls: Iterable[Mapping[str, Any]]) -> list[KillPoint]:
    """Each call of the run. A read that is repeated while nothing changes is one place, its first call."""
    times: Counter[str] = Counter()
    asked: set[str] = set()
    found = []
    for call in calls:
        action = str(call["action"])
        if call["service"] in _NOT_EC2:
            continue
        times[action] += 1
        looks = action.startswith(_LOOKING) or call["params"].get("DryRun") == "true"
        place = KillPoint("ec2", action, times[action], not looks)
        question = json.dumps([action, call["params"]], sort_keys=True, default=str)
        if place.changes or question not in asked:
            found.append(place)
        if place.changes:
            asked.clear()
        asked.add(question)
    return found


def db_kill_points(commits: int) -> list[KillPoint]:
    return [KillPoint("db", "COMMIT", nth) for nth in range(1, commits + 1)]


def host_kill_points(receipt: Mapping[str, Any]) -> list[KillPoint]:
    """The hooks in the receipt. Each host activity that changes something runs one. A repeated hook is one place."""
    hooks = [hook["name"] for step in receipt.get("steps") or () for hook in step.get("hooks") or ()]
    return [KillPoint("host", name) for name in dict.fromkeys(hooks)]


def select_cells(cells: Sequence[Cell], only: str, sample: int, seed: int) -> list[Cell]:
    """Cells whose names begin with `only` (`*` and `?` allowed), and of these `sample` many; 0 means all."""
    found = [cell for cell in cells if fnmatchcase(cell.name, f"{only}*")]
    if not sample or sample >= len(found):
        return found
    picked = set(random.Random(f"{seed}/cells").sample(range(len(found)), sample))
    return [cell for number, cell in enumerate(found) if number in picked]
