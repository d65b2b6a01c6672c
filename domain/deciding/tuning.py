"""The policy's parameters: none is a number of hours to wait; that follows from costs."""

from __future__ import annotations

from dataclasses import dataclass

from domain.deciding.reliability import HazardShape

# Once its own record and its region are taken into account, a pool's age tells less than it does alone.
KNOWN = HazardShape(scale=0.43, offset_h=0.15, power=0.5)


@dataclass(frozen=True, slots=True)
class Tuning:
    """Chosen by backtest on one part of the data; the report of the backtest says on which."""

    caution: float = 1.5  # on the risk of a pool that is to be entered: estimates of the best are too good
    shape: HazardShape = KNOWN
    prior_losses: float = 4.0  # weight of "like any other pool" against a pool's own losses
    own: float = 0.85  # power of that comparison
    absence: float = 0.85  # log of the hazard of a pool that was down all day, against one that was up
    tight: float = 1.3  # likewise of a region that is all down and never was before
    margin: float = 2.0  # a move has to bring this many times its cost
    horizon_h: float = 72.0  # no gain is believed for longer
    least_gain: float = 0.01  # of the price paid now
    noise: float = 1.0  # a gain has to exceed this many usual changes of price
    noise_changes: float = 4.0  # weight of the prior size of a change, in changes
    noise_size: float = 0.005  # prior size of a change, relative to the price
    guard_losses: float = 1.0  # the guard closes when the excess is beyond this many losses
    guard_credit: float = 1.0  # so many losses at most can be saved up for worse days
    guard_memory_h: float = 168.0
    replica_margin: float = 1.5  # a replica has to avert this many times its price


DEFAULT = Tuning()
