"""An operation's attempts to get capacity: what it launched, who refused, which pools rest, what it has ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.pools import Candidate
from domain.servers import Placement


@dataclass
class Replacement:
    """One attempt at one pool, and what came of it."""

    candidate: Candidate
    token: str
    instance_id: str = ""
    spot_request_id: str = ""
    private_ip: str = ""
    network_interface_id: str = ""
    volume_ids: list[str] = field(default_factory=list)
    discarded: bool = False

    @property
    def placement(self) -> Placement:
        pool = self.candidate
        return Placement(self.instance_id, str(pool.pool), self.spot_request_id, pool.usd_per_hour)


class CapacityLog:
    """All attempts of one operation, in their order."""

    def __init__(self, cool_downs: Mapping[str, float]) -> None:
        self._attempts: list[Replacement] = []
        self._refusals: list[str] = []
        self._cool_downs = dict(cool_downs)
        self._replacements: set[str] = set()
        self._ended: set[str] = set()

    def begin(self, candidate: Candidate, token: str) -> Replacement:
        replacement = Replacement(candidate, token)
        self._attempts.append(replacement)
        return replacement

    @property
    def attempts(self) -> int:
        return len(self._attempts)

    def surplus(self, winner: Replacement) -> list[Replacement]:
        """What was launched beside the winner and is still there."""
        return [one for one in self._attempts if one is not winner and not one.discarded]

    # --- the instances that may become the primary

    def add_replacement(self, instance_id: str) -> None:
        self._replacements.add(instance_id)

    def is_replacement(self, instance_id: str) -> bool:
        return instance_id in self._replacements

    # --- who gave nothing

    def refused(self, by: object, reason: str) -> None:
        self._refusals.append(f"{by}: {reason}")

    @property
    def refusals(self) -> list[str]:
        """In words, for the receipt: `pool: why`."""
        return list(self._refusals)

    def rest_pool(self, pool: str, until: float) -> None:
        """`until`: seconds since 1970."""
        self._cool_downs[pool] = until

    @property
    def cool_downs(self) -> dict[str, float]:
        return dict(self._cool_downs)

    # --- the instances that this operation ended

    def ended(self, instance_id: str) -> None:
        self._ended.add(instance_id)

    def has_ended(self, instance_id: str) -> bool:
        return instance_id in self._ended
