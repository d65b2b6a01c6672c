"""A policy run through a market, tick by tick."""

from __future__ import annotations

from typing import Protocol

from domain.backtest.billing import Bill, bill
from domain.backtest.market_history import ON_DEMAND, MarketHistory, TickWindow

DECIDED_EVERY_H = 0.05  # a policy is asked about every three minutes, and at once when its pool is lost


class ReplayPolicy(Protocol):
    """Chooses the place for a tick, from nothing but the tick and the place before (None: nowhere yet)."""

    def choose(self, tick: int, current: int | None) -> int: ...


def run_policy(market: MarketHistory, window: TickWindow, chooser: ReplayPolicy, start: int | None = None) -> list[int]:
    """The place at each tick of the window. `start`: where it was before; None: it is launched."""
    return PolicyRun(market, chooser).run(window, start)


class PolicyRun:
    """One policy through many windows. They overlap: once a run is where the last one was, it goes on like it."""

    def __init__(self, market: MarketHistory, chooser: ReplayPolicy) -> None:
        self._market, self._chooser = market, chooser
        self._every = max(1, round(DECIDED_EVERY_H / market.gap_h))
        self._last, self._choices = TickWindow(0, 0), list[int]()
        self._billed: dict[tuple[int, int, int | None], tuple[list[int], Bill]] = {}

    def run(self, window: TickWindow, start: int | None = None) -> list[int]:
        choices: list[int] = []
        ups, current, tick = self._market.up, start, window.start
        while tick < window.stop:
            if current is not None and (met := self._from(tick, current, window.stop)):
                choices += met
                current, tick = met[-1], tick + len(met)
                continue
            if tick % self._every == 0 or current is None or not (current == ON_DEMAND or ups[tick][current]):
                current = self._chooser.choose(tick, current)
            choices.append(current)
            tick += 1
        self._last, self._choices = window, choices
        return choices

    def by_day(self, window: TickWindow) -> dict[int, Bill]:
        """What the run costs, by the market's days. Most days are the same as in the window before."""
        choices = self.run(window)
        found: dict[int, Bill] = {}
        before: int | None = None
        for day, part in window.days(self._market):
            some = choices[part.start - window.start : part.stop - window.start]
            found[day] = self._bill(part, some, before)
            before = some[-1]
        return found

    def _from(self, tick: int, before: int, stop: int) -> list[int]:
        """The rest of the last run from `tick`, if that run was at the same place before."""
        at = tick - self._last.start
        if not 0 < at < len(self._choices) or self._choices[at - 1] != before:
            return []
        return self._choices[at : at + stop - tick]

    def _bill(self, part: TickWindow, choices: list[int], before: int | None) -> Bill:
        key = part.start, part.stop, before
        known = self._billed.get(key)
        if known is None or known[0] != choices:
            known = self._billed[key] = choices, bill(self._market, part, choices, before)
        return known[1]
