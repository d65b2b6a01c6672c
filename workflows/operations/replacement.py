"""One attempt to get capacity in one pool, and what came of it."""

from __future__ import annotations

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
