"""A network with one small hidden layer, fitted by likelihood in plain numpy. The same seed gives the same network.

The hazard is exp(a line + the hidden layer): the line alone is what the built-in reckoning is. Losses are a Poisson
process, as in `research.backtest.hazard_fitting`. It stops where a held-back part of what it learns from gets no
better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from research.training.samples import Floats, LossSamples

HIDDEN, STEPS, RATE, DECAY, PATIENCE, SEED = 8, 3000, 0.01, 3e-4, 200, 11
HELD_BACK = 0.25
LEAST_LOG, MOST_LOG = -9.0, 3.0  # of losses per hour


@dataclass
class Network:
    """`mean`, `scale`: of the features as learnt from."""

    mean: Floats
    scale: Floats
    line: Floats
    into: Floats
    bias: Floats
    out: Floats
    start: float

    def log_hazard(self, features: Floats) -> Floats:
        given = (features - self.mean) / self.scale
        found: Floats = given @ self.line + np.tanh(given @ self.into + self.bias) @ self.out + self.start
        return np.clip(found, LEAST_LOG, MOST_LOG)


def train_network(data: LossSamples) -> Network:
    chance = np.random.default_rng(SEED)
    mean, scale = data.features.mean(axis=0), data.features.std(axis=0) + 1e-6
    blocks = np.arange(len(data.hours)) * 40 // len(data.hours)  # neighbours in time are alike: held back together
    held = np.isin(blocks, chance.choice(40, int(HELD_BACK * 40), replace=False))
    size = data.features.shape[1]
    weights = [
        np.zeros(size),
        chance.normal(0, 0.5, (size, HIDDEN)),
        np.zeros(HIDDEN),
        np.zeros(HIDDEN),
        np.array(np.log(data.lost.sum() / data.hours.sum())),
    ]
    moments = [(np.zeros_like(one), np.zeros_like(one)) for one in weights]
    best, kept, since = np.inf, [one.copy() for one in weights], 0
    given = (data.features - mean) / scale
    for step in range(1, STEPS + 1):
        slopes = _slopes(weights, given[~held], data.hours[~held], data.lost[~held])
        weights = [_adam(one, slope, moment, step) for one, slope, moment in zip(weights, slopes, moments, strict=True)]
        since += 1
        loss = _loss(weights, given[held], data.hours[held], data.lost[held])
        if loss < best:
            best, kept, since = loss, [one.copy() for one in weights], 0
        if since > PATIENCE:
            break
    return Network(mean, scale, kept[0], kept[1], kept[2], kept[3], float(kept[4]))


def likelihood_gain(network: Network, data: LossSamples) -> float:
    """How much likelier, as a logarithm per loss, than the best constant hazard; as in
    research.backtest.hazard_fitting.
    """
    log = network.log_hazard(data.features)
    found = float((data.lost * log).sum() - (data.hours * np.exp(log)).sum())
    count, hours = float(data.lost.sum()), float(data.hours.sum())
    return found / count - (float(np.log(count / hours)) - 1)


def _log(weights: list[Floats], given: Floats) -> tuple[Floats, Floats]:
    line, into, bias, out, start = weights
    hidden = np.tanh(given @ into + bias)
    return np.clip(given @ line + hidden @ out + start, LEAST_LOG, MOST_LOG), hidden


def _loss(weights: list[Floats], given: Floats, hours: Floats, lost: Floats) -> float:
    log, _ = _log(weights, given)
    return float((hours * np.exp(log) - lost * log).sum() / lost.sum())


def _slopes(weights: list[Floats], given: Floats, hours: Floats, lost: Floats) -> list[Floats]:
    log, hidden = _log(weights, given)
    error = (hours * np.exp(log) - lost) / lost.sum()
    back = np.outer(error, weights[3]) * (1 - hidden**2)
    return [
        given.T @ error + DECAY * weights[0],
        given.T @ back + DECAY * weights[1],
        back.sum(axis=0),
        hidden.T @ error + DECAY * weights[3],
        error.sum(),
    ]


def _adam(weight: Floats, slope: Floats, moment: tuple[Floats, Floats], step: int) -> Floats:
    first, second = moment
    first *= 0.9
    first += 0.1 * slope
    second *= 0.999
    second += 0.001 * slope**2
    change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return np.asarray(weight - RATE * change, dtype=np.float64)


def price_line(features: Floats, ratios: Floats, ridge: float = 1.0) -> Floats:
    """Least squares with a ridge; the last is the constant."""
    given = np.column_stack([features, np.ones(len(features))])
    return np.asarray(np.linalg.solve(given.T @ given + ridge * np.eye(given.shape[1]), given.T @ ratios), np.float64)
