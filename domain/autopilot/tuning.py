"""The policy's parameters. None is a number of hours to wait: that follows from costs."""

from __future__ import annotations

from dataclasses import dataclass

from domain.autopilot.pool_records import HazardShape

# With a pool's own record and its region in the hazard, the age has less weight than it has alone.
SHAPE_WITH_RECORD = HazardShape(scale=0.41, offset_h=0.15, power=0.53)


@dataclass(frozen=True, slots=True)
class Tuning:
    """The first four: of the highest likelihood for the losses of public traces, as `research.backtest.hazard_fitting`
    finds them.

    The others were chosen by their cost in the backtest. Its report says on which part of the data, and what
    each of them contributes.
    """

    shape: HazardShape = SHAPE_WITH_RECORD
    own: float = 0.76  # power of a pool's own losses against those expected
    absence: float = 0.77  # log of the hazard of a pool that was down all day, relative to one that was up
    tight: float = 0.88  # likewise of a region where all pools are down for the first time
    prior_losses: float = 4.0  # weight of "like any other pool" against a pool's own losses

    caution_losses: float = 3.0  # weight of "as foreseen" against the losses suffered, see experience
    caution_deviations: float = 1.0  # the risk used is this many standard deviations above the mean
    caution_reach: float = 2.0  # pools up to this many times too risky to enter are learnt from as well
    caution_memory_h: float = 168.0

    at_once: bool = True  # after a loss a young pool may be tried at once, see server_decision
    margin: float = 5.0  # a move has to bring this many times its cost
    horizon_h: float = 72.0  # no gain counts for longer
    risk_believed: float = 0.25  # part of a gain in risk that counts: such moves bring less than foreseen
    noise: float = 1.0  # a gain has to exceed this many usual changes of price
    noise_changes: float = 4.0  # weight of the prior size of a change, in changes
    noise_size: float = 0.005  # prior size of a change, relative to the price

    replica_margin: float = 1.5  # a replica has to avert this many times its price
    together: float = 0.27  # part of the losses in which another pool of the region goes within twelve minutes


DEFAULT_TUNING = Tuning()
