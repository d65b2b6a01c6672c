"""The policy's parameters: none is a number of hours to wait; that follows from costs."""

from __future__ import annotations

from dataclasses import dataclass

from domain.autopilot.pool_records import HazardShape

# Once its own record and its region are taken into account, a pool's age tells less than it does alone.
SHAPE_WITH_RECORD = HazardShape(scale=0.41, offset_h=0.15, power=0.53)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The first four: likeliest for the losses of public traces (`research.backtest.hazard_fitting` finds them again).

    The others were chosen by what they cost in the backtest; its report says on which part of the data,
    and what each is worth.
    """

    shape: HazardShape = SHAPE_WITH_RECORD
    own: float = 0.76  # power of a pool's own losses against those expected
    absence: float = 0.77  # log of the hazard of a pool that was down all day, against one that was up
    tight: float = 0.88  # likewise of a region that is all down and never was before
    prior_losses: float = 4.0  # weight of "like any other pool" against a pool's own losses

    caution_losses: float = 3.0  # weight of "as foreseen" against the losses that were suffered, see experience
    caution_deviations: float = 1.0  # so many standard deviations above the mean is the risk that is reckoned with
    caution_reach: float = 2.0  # pools up to so many times too risky to enter are learnt from as well
    caution_memory_h: float = 168.0

    at_once: bool = True  # after a loss a young pool may be tried at once, see policy
    margin: float = 5.0  # a move has to bring this many times its cost
    horizon_h: float = 72.0  # no gain is believed for longer
    risk_believed: float = 0.25  # part of a gain in risk that counts: moving ahead of trouble brings less than foreseen
    noise: float = 1.0  # a gain has to exceed this many usual changes of price
    noise_changes: float = 4.0  # weight of the prior size of a change, in changes
    noise_size: float = 0.005  # prior size of a change, relative to the price

    replica_margin: float = 1.5  # a replica has to avert this many times its price
    together: float = 0.27  # part of the losses in which another pool of the region goes within twelve minutes


DEFAULT_TUNING = Tuning()
