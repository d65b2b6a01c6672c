"""The faults that a chaos run puts into a fleet. Each begins at its moment, and most end after a while."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from domain.names import operation_id as operation_id_of
from proof.harness.site import Site
from proof.harness.waiting import RequestFailed

LOST: Sequence[str] = (
    "RunInstances",
    "TerminateInstances",
    "AttachVolume",
    "DetachVolume",
    "CreateSnapshot",
    "CreateVolume",
    "AssociateAddress",
    "RegisterTargets",
    "DescribeInstances",
)
NOTICES_S = (120.0, 120.0, 30.0, 8.0, 0.0)  # what AWS gives, and less than it promises
PROCESSES = ("worker-1", "worker-2", "api", "temporal", "database")
EndFault = Callable[[], None]


@dataclass(frozen=True)
class PlannedFault:
    """One fault as it was drawn. The same seed draws the same faults, whatever happens to the fleet."""

    at_s: float
    what: str
    number: int  # draws its target, of those that exist by then
    lasts_s: float


def draw_faults(seed: int, seconds: float) -> list[PlannedFault]:
    """The faults of a whole run. One of them stops the database for a minute, and one cuts off a host."""
    chance = random.Random(f"{seed}/chaos")
    faults, at = [], 2.0
    while at < seconds:
        what = chance.choices([*_WEIGHTS], [*_WEIGHTS.values()])[0]
        faults.append(
            PlannedFault(round(at, 2), what, chance.randrange(1_000_000), round(chance.uniform(2.0, 12.0), 2))
        )
        at += chance.uniform(1.0, 4.5)
    whole = (("outage", min(60.0, seconds / 4)), ("partition", min(45.0, seconds / 5)))
    for what, lasts in whole:
        faults.append(
            PlannedFault(round(chance.uniform(0.1, 0.6) * seconds, 2), what, chance.randrange(1_000_000), lasts)
        )
    return sorted(faults, key=lambda fault: fault.at_s)


class FaultInjector:
    def __init__(self, site: Site, kinds: Sequence[str], pools: Sequence[str]) -> None:
        self._site = site
        self._servers = list(kinds)
        self._pools = list(pools)
        self.requests: list[tuple[str, str, str, str]] = []  # server, what, key, operation
        self.unanswered: list[
            tuple[str, str, str, str]
        ] = []  # the same fields; the operation that it would be if the request worked
        self.away: set[str] = set()  # processes that are down now

    def begin(self, fault: PlannedFault) -> tuple[str, EndFault | None]:
        """Begin the fault; returns what was done, in words, and how to end it."""
        chance = random.Random(f"{fault.number}")
        return _DOES[fault.what](self, chance, fault)

    # --- by its owner

    def switch(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._ask("switch", chance, fault)

    def replica(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._ask("replica", chance, fault)

    def promote(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._ask("promote", chance, fault)

    def _ask(self, what: str, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        server = self._site.servers[chance.choice(self._servers)]
        key = f"chaos-{fault.number}-{what}"
        try:
            operation_id = self._site.api.ask(server.id, what, {}, key)
        except RequestFailed as error:
            if error.outcome_unknown:
                self.unanswered.append((server.id, what, key, operation_id_of(server.id, key)))
            return f"{server.name}: {what} refused: {str(error)[:120]}", None
        self.requests.append((server.id, what, key, operation_id))
        return f"{server.name}: {what} is {operation_id}", None

    # --- by AWS

    def interrupt(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        found = [one for one in self._instances() if one["lifecycle"] == "spot" and not one["notice"]]
        if not found:
            return "no spot instance to interrupt", None
        one, seconds = chance.choice(found), chance.choice(NOTICES_S)
        self._lab("POST", f"/_lab/instances/{one['id']}/interrupt", {"notice_seconds": seconds})
        return f"{one['id']} of {self._owner(one)} gets {seconds:g} s of notice", None

    def die(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        one = chance.choice(self._instances())
        self._lab("POST", f"/_lab/instances/{one['id']}/kill", {"outcome": "terminated"})
        return f"{one['id']} of {self._owner(one)} dies without notice", None

    def capacity(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        pools = chance.sample(self._pools, min(3, len(self._pools)))
        for pool in pools:
            self._lab("POST", f"/_lab/pools/{pool}/capacity", {"capacity": 0})

        def back() -> None:
            for pool in pools:
                self._lab("POST", f"/_lab/pools/{pool}/capacity", {"capacity": None})

        return f"nothing is left in {', '.join(pools)}", back

    def throttle(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        self._lab("POST", "/_lab/throttle", {"rate": 3, "burst": 3})
        return "calls are throttled", lambda: self._lab("POST", "/_lab/throttle", {"rate": None})

    def lose(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        """Lose the answer to a call. Lost once, the SDK repeats the call; lost four times, the product has to."""
        action, times = chance.choice(LOST), chance.choice((1, 1, 4))
        self._lab("POST", "/_lab/faults", {"action": action, "kind": "lose", "times": times})
        return f"{times} answers to {action} are lost", None

    def slow(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        action = chance.choice(("CreateSnapshot", "DescribeSnapshots", "CreateVolume"))
        self._lab("POST", "/_lab/faults", {"action": action, "kind": "delay", "seconds": 3.0, "times": 2})
        return f"{action} is slow", None

    # --- on the machines

    def hang(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._stopped("agent/hang", "hung", "hangs", chance)

    def partition(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._stopped("partition", "cut", "is cut off", chance)

    def _stopped(self, path: str, field: str, words: str, chance: random.Random) -> tuple[str, EndFault | None]:
        one = chance.choice(self._instances())
        where = f"/_lab/instances/{one['id']}/{path}"
        self._lab("POST", where, {field: True})
        return f"the agent on {one['id']} of {self._owner(one)} {words}", lambda: self._lab(
            "POST", where, {field: False}
        )

    # --- our own

    def restart(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._down(chance.choice(PROCESSES))

    def outage(self, chance: random.Random, fault: PlannedFault) -> tuple[str, EndFault | None]:
        return self._down("database")

    def _down(self, process: str) -> tuple[str, EndFault | None]:
        if process in self.away:
            return f"{process} is down already", None
        self.away.add(process)
        self._site.stack.kill(process)

        def back() -> None:
            self._site.stack.processes[process].start()  # not waited for, since what it needs may be down too
            self.away.discard(process)

        return f"{process} is killed", back

    def all_back(self) -> None:
        """Wait until every process is up and ready."""
        for process in self._site.stack.processes.values():
            process.wait_ready()

    # --- inside

    def _instances(self) -> list[dict[str, Any]]:
        """The fleet's instances as EC2 lists them, since the API may be down."""
        ours = {server.id for server in self._site.servers.values()}
        rows = self._site.truth()["instances"]
        return [one for one in rows if one["state"] == "running" and one["tags"].get("spot-optimizer:server") in ours]

    def _owner(self, one: Mapping[str, Any]) -> str:
        names = {server.id: server.name for server in self._site.servers.values()}
        return names[one["tags"]["spot-optimizer:server"]]

    def _lab(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        with suppress(AssertionError):  # its target has ended meanwhile
            self._site.ask_lab(method, path, body)


# How often each is drawn. Faults that are not listed come once a run.
_WEIGHTS: Mapping[str, int] = {
    "switch": 5,
    "replica": 2,
    "promote": 2,
    "interrupt": 5,
    "die": 1,
    "capacity": 2,
    "throttle": 1,
    "lose": 3,
    "slow": 1,
    "hang": 1,
    "restart": 2,
}
_DOES: Mapping[str, Callable[[FaultInjector, random.Random, PlannedFault], tuple[str, EndFault | None]]] = {
    name: getattr(FaultInjector, name) for name in (*_WEIGHTS, "partition", "outage")
}
