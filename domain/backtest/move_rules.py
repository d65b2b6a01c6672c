"""What a change of place costs. Of the harness; a market of one's own has its own."""

from __future__ import annotations

from dataclasses import dataclass

from domain.autopilot.move_cost import MoveProfile

PLANNED_MOVE = MoveProfile(overlap_h=0.2)  # paid twice, and no outage


@dataclass(frozen=True)
class MoveRules:
    """A planned move within its zone, and beyond it, of so much data; `outage_h` lasts the outage of a loss.

    Beyond costs no less than within: the clairvoyant relies on it.
    """

    within: MoveProfile = PLANNED_MOVE
    beyond: MoveProfile = PLANNED_MOVE
    outage_h: float = 0.2 - 2 / 60  # the notice comes two minutes before
    data_gib: int = 0

    def __post_init__(self) -> None:
        near, far = self.within, self.beyond
        if far.overlap_h < near.overlap_h or far.outage_h < near.outage_h or far.copies < near.copies:
            raise ValueError(f"a move beyond the zone ({far}) costs less than one within it ({near})")

    @property
    def overlap_h(self) -> float:
        """Of any move, where zones make no difference."""
        return self.beyond.overlap_h


USUAL_RULES = MoveRules()
