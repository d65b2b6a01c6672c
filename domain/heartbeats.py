"""How often hosts say that they live: more of them say it less often, so that hearing them costs no more than it may.

As Nomad's servers have it (HashiCorp Nomad, server configuration, `max_heartbeats_per_second` and
`min_heartbeat_ttl`): up to a number of hosts each says it at the shortest interval; beyond that the interval grows with
the fleet. A host that dies without a word is missed later then. Nothing that AWS announces waits for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class HeartbeatRate:
    """`shortest_s`: seconds between two beats of a host; `per_second`: beats of all hosts together; `hosts`: how
    many.
    """

    shortest_s: float
    per_second: float
    hosts: int = 0

    def __post_init__(self) -> None:
        if self.shortest_s <= 0 or self.per_second <= 0:
            raise ValueError(f"a pace needs an interval and beats a second above 0, not {self}")

    @property
    def interval_s(self) -> float:
        return max(self.shortest_s, self.hosts / self.per_second)


HEARTBEAT_S, HEARTBEATS_A_SECOND = 15.0, 50.0  # the agents' over HTTP: a request and a row each
WATCH_BEAT_S, WATCH_BEATS_A_SECOND = 8.0, 100.0  # the watches': a write of Temporal's each
MISSED_HEARTBEATS = 3  # heartbeats in a row that were not heard, and an agent is silent
