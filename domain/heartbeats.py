"""How often hosts send heartbeats: less often in a larger fleet, so that all together cost no more than allowed.

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


HEARTBEAT_S, HEARTBEATS_A_SECOND = 15.0, 50.0  # of agents over HTTP: each costs a request and a row
WATCH_BEAT_S, WATCH_BEATS_A_SECOND = 8.0, 100.0  # of watches: each costs Temporal a write
MISSED_HEARTBEATS = 3  # after so many missed in a row an agent is silent
