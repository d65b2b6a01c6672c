"""Finds the hazard's parameters with the highest likelihood for the observed losses.

Losses of a pool that is up are taken as a Poisson process whose rate is what `domain.autopilot.appraisal`
says it is; its logarithm is linear in the parameters, so that Newton's method finds the likeliest in a
few steps. No cost, weight or decision enters, so nothing here is fitted to the figures of the backtest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from domain.autopilot.decision_inputs import Offer
from domain.autopilot.pool_records import HazardShape
from domain.autopilot.tuning import Tuning
from domain.backtest.contract import NoData
from research.backtest.availability import ObservedMarket

WARM_H = 24.0  # records say little before
FINE = 0.1  # a stretch is at most so long as a part of the age at its begin: the hazard hardly changes in it
STEPS = 30
RIDGE = 1e-3  # a set that lacks a feature, such as a second pool in the region, still has a solution


@dataclass(frozen=True)
class UpStretch:
    """A pool that was up for `hours`, and whether it was lost at their end. `features`: logarithmic."""

    features: tuple[float, ...]
    hours: float
    lost: bool


def stretches(
    observed: ObservedMarket,
    tuning: Tuning,
    since: float = 0.0,
    until: float = 1.0,
    features_of: Callable[[Offer], tuple[float, ...]] | None = None,
) -> Iterator[UpStretch]:
    """Stretches of a part of a market, from one share of its time to another. `features_of`: not the policy's."""
    of = features_of or (lambda offer: features(offer, tuning))
    market, offers = observed.market, observed.offers
    first = max(math.ceil(WARM_H / market.gap_h), int(since * market.ticks))
    for pool in range(len(market.pools)):
        begin, ticks = None, 0
        for tick in range(first, int(until * market.ticks) - 1):
            offer = offers[tick][pool]
            if not offer.reliability.up:
                continue
            begin, ticks = begin or offer, ticks + 1
            hours, lost = ticks * market.gap_h, not market.up[tick + 1][pool]
            if lost or hours >= FINE * (begin.reliability.up_h + tuning.shape.offset_h):
                yield UpStretch(of(begin), hours, lost)
                begin, ticks = None, 0


def features(offer: Offer, tuning: Tuning) -> tuple[float, ...]:
    record = offer.reliability
    return (
        1.0,
        -math.log(record.up_h + tuning.shape.offset_h),
        math.log(record.factor(tuning.prior_losses)),
        1 - record.availability,
        offer.tightness,
    )


def fit_hazard(found: Iterable[UpStretch], tuning: Tuning) -> Tuning:
    """The tuning with the hazard of the highest likelihood. Raise NoData if there is no loss at all."""
    rows = list(found)
    losses, hours = sum(row.lost for row in rows), sum(row.hours for row in rows)
    if not losses:
        raise NoData("no loss was observed, so no hazard can be fitted")
    beta = [math.log(losses / hours), 0.0, 0.0, 0.0, 0.0]
    for _ in range(STEPS):
        step = _solve(*_slopes(rows, beta))
        beta = [one + change for one, change in zip(beta, step, strict=True)]
        if max(map(abs, step)) < 1e-6:
            break
    scale, power, own, absence, tight = beta
    shape = HazardShape(math.exp(scale), tuning.shape.offset_h, power)
    return replace(tuning, shape=shape, own=own, absence=absence, tight=tight)


def likelihood_gain(rows: Sequence[UpStretch], tuning: Tuning) -> float:
    """Gain in log-likelihood per loss over the best constant hazard."""
    shape = tuning.shape
    beta = (math.log(shape.scale), shape.power, tuning.own, tuning.absence, tuning.tight)
    losses, hours = sum(row.lost for row in rows), sum(row.hours for row in rows)
    if not losses:
        return 0.0
    logs = [sum(map(float.__mul__, row.features, beta)) for row in rows]
    found = sum(row.lost * log - row.hours * math.exp(log) for row, log in zip(rows, logs, strict=True))
    return found / losses - (math.log(losses / hours) - 1)


def _slopes(rows: Sequence[UpStretch], beta: Sequence[float]) -> tuple[list[list[float]], list[float]]:
    """Curvature and slope of the log-likelihood."""
    size = len(beta)
    slope = [-RIDGE * one for one in beta]
    curve = [[RIDGE * (i == j) for j in range(size)] for i in range(size)]
    for row in rows:
        mean = row.hours * math.exp(sum(map(float.__mul__, row.features, beta)))
        for i, one in enumerate(row.features):
            slope[i] += one * (row.lost - mean)
            weighed, line = one * mean, curve[i]
            for j in range(i + 1):
                line[j] += weighed * row.features[j]
    return [[curve[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)], slope


def _solve(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination with pivots."""
    size = len(right)
    lines = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for at in range(size):
        pivot = max(range(at, size), key=lambda row: abs(lines[row][at]))
        lines[at], lines[pivot] = lines[pivot], lines[at]
        for row in range(size):
            if row != at:
                times = lines[row][at] / lines[at][at]
                lines[row] = [one - times * other for one, other in zip(lines[row], lines[at], strict=True)]
    return [lines[at][size] / lines[at][at] for at in range(size)]
