"""What a change of place costs. Of the harness; a market of one's own has its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """Hours: `overlap_h` is paid twice in a planned move; `outage_h` lasts the outage of a loss."""

    overlap_h: float = 0.2
    outage_h: float = 0.2 - 2 / 60  # the notice comes two minutes before


RULES = Rules()
