"""What the autopilot may do to a client's fleet as a whole."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FleetLimits:
    """So that one lost pool does not take too much at once. Parts are of the client's active servers, 0 to 1.

    `moves_at_once`: operations that the autopilot may have under way for this client; 0: as many as the control
    plane allows. A fleet too small to be spread keeps at least one server's place in every pool.
    """

    most_per_pool: float = 1.0
    most_per_zone: float = 1.0
    least_on_demand: float = 0.0
    moves_at_once: int = 0
