"""How long the lab takes for its own part of a switch: what a measurement subtracts, and a limit adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class LabDelays:
    """Seconds, as `/_lab/world` tells them."""

    launch_s: float
    boot_s: float
    detach_s: float
    attach_s: float
    terminate_s: float

    @classmethod
    def of(cls, world: Mapping[str, Mapping[str, float]]) -> LabDelays:
        found = world["delays"]
        return cls(*(found[name] for name in cls.__dataclass_fields__))

    def ms_by_step(self) -> dict[str, float]:
        """Milliseconds of each step of a switch. No step waits for an address: it moves while volumes do."""
        seconds = {
            "launch": self.launch_s,
            "ready": self.boot_s,
            "move": self.detach_s + self.attach_s,
            "retire": self.terminate_s,
        }
        return {step: 1000 * delay for step, delay in seconds.items()}
