"""The whole backtest of a folder: replays what it holds, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from domain.autopilot.tuning import DEFAULT_TUNING
from domain.backtest.contract import NoData
from domain.backtest.market_history import MarketHistory
from research.backtest.ablation import WHOLE, Ablation, by_part, without_parts, without_price_parts
from research.backtest.availability import (
    WEIGHTS,
    ObservedMarket,
    PolicyResult,
    compare_policies,
    compare_tunings,
    prepare,
)
from research.backtest.cost_targets import EVERY_MARKET, TargetResult, target_results
from research.backtest.csv_rows import exists
from research.backtest.deadline_jobs import PUBLISHED, check
from research.backtest.market_sets import availability_sets
from research.backtest.ordinary_types import OrdinaryResult, draw_losses, sum_by_policy
from research.backtest.ordinary_types import follow_losses as follow_ordinary
from research.backtest.price_following import PRODUCT_POLICY, PriceRun, PriceRunSummary, follow_prices, summarize_runs
from research.backtest.price_histories import load_history, price_files, price_markets
from research.backtest.traces import load_traces
from research.backtest.type_catalog import load_groups, load_hazards, load_on_demand
from research.backtest.validation import WEIGHT, HazardFit, fit_first_halves, fit_others, judge_fits

CHOSEN_ON = (
    "A: the hazard is fitted by likelihood on all series, and again on the first halves alone and without each "
    "collection; caution, margins and the rest were compared by cost on the first halves, where J hardly depends "
    "on them, and looked at on all of A. B: margin and noise gate on sa-east-1. C and D: nothing"
)
JUDGED_ON = "A: second halves, preempt1, and each collection by a fit without it; B: us-east-1"
D_REGION, D_HISTORY, D_BANDS_BY = "us-east-1", "prices_us-east-1_2021.csv", "2021-03-02"


@dataclass(frozen=True)
class Effort:
    """How much is replayed. `groups`: price groups per file, 0 for all."""

    starts: int = 100
    few_starts: int = 40  # of ablations and validation
    groups: int = 0


FULL = Effort()
QUICK = Effort(starts=10, few_starts=4, groups=2)
ProgressReport = Callable[[str], None]


@dataclass
class Report:
    availability: list[PolicyResult] = field(default_factory=list)
    left_out: list[Ablation] = field(default_factory=list)
    fits: list[HazardFit] = field(default_factory=list)
    validation: list[PolicyResult] = field(default_factory=list)
    prices: list[PriceRunSummary] = field(default_factory=list)
    prices_left_out: list[PriceRunSummary] = field(default_factory=list)
    deadlines: dict[str, tuple[float, float]] = field(default_factory=dict)
    ordinary: list[OrdinaryResult] = field(default_factory=list)

    @property
    def verdicts(self) -> list[TargetResult]:
        return target_results(self.availability, self.validation, self.prices, self.deadlines)

    def as_json(self, folder: Path, effort: Effort) -> dict[str, Any]:
        lists: dict[str, Sequence[Any]] = {
            "targets": self.verdicts,
            "availability": self.availability,
            "availability_without": self.left_out,
            "fits": self.fits,
            "availability_by_fit": self.validation,
            "prices": self.prices,
            "prices_without": self.prices_left_out,
            "ordinary_semi_synthetic": self.ordinary,
        }
        deadlines = {
            name: {"on_demand_h": found[0], "spot_h": found[1], "published": PUBLISHED[name]}
            for name, found in self.deadlines.items()
        }
        about = {"data": folder.name, "effort": asdict(effort), "chosen_on": CHOSEN_ON, "judged_on": JUDGED_ON}
        found = {name: [asdict(one) for one in some] for name, some in lists.items()}
        return {**about, "tuning": asdict(DEFAULT_TUNING), **found, "deadlines": deadlines}


def run_all(folder: Path, effort: Effort, say: ProgressReport) -> Report:
    """Raise NoData for a folder without traces and without prices."""
    report = Report()
    if exists(folder, "traces_series.csv"):
        _traces(folder, effort, report, say)
    if price_files(folder):
        _prices(folder, effort, report, say)
        _ordinary(folder, effort, report, say)
    if not report.availability and not report.prices:
        raise NoData(f"{folder} has neither traces_series.csv nor prices_*.csv; name the folder that holds the data")
    return report


def _traces(folder: Path, effort: Effort, report: Report, say: ProgressReport) -> None:
    on_demand = {kind: usd for (region, kind), usd in load_on_demand(folder).items() if region.startswith("us-")}
    traces = load_traces(folder)
    markets = [ObservedMarket.of(one) for one in availability_sets(traces, on_demand)]
    judged: list[PolicyResult] = []
    for observed in markets:
        market = observed.market
        say(f"A: {market.name}, {len(market.pools)} pools, {market.ticks * market.gap_h / 24:.1f} days")
        report.availability += compare_policies(prepare(observed, effort.starts), DEFAULT_TUNING, WEIGHTS)
        judged += compare_tunings(prepare(observed, effort.few_starts)[:1], without_parts(DEFAULT_TUNING), WEIGHT)
    report.left_out = by_part(judged)
    _validate(markets, effort, report, say)
    paper = [trace for trace in traces if trace.series_id.startswith("avail1-2022-10-26")]
    if paper:
        say(f"C: {len(paper)} series")
        report.deadlines = check(paper)


def _validate(markets: Sequence[ObservedMarket], effort: Effort, report: Report, say: ProgressReport) -> None:
    """Ablations on the sets that are long enough to be halved."""
    say("A: fitting the hazard on parts of the data")
    try:
        first = fit_first_halves(markets, DEFAULT_TUNING)
    except NoData as why:
        say(f"A: no validation, {why}")
        return
    others = fit_others(markets, DEFAULT_TUNING)
    parts = [prepare(one, effort.few_starts) for one in markets]
    report.fits = [first, *others.values()]
    report.validation = judge_fits(parts, DEFAULT_TUNING, first, others, say)


def _prices(folder: Path, effort: Effort, report: Report, say: ProgressReport) -> None:
    everyone: dict[str, list[PriceRun]] = {}
    without: dict[str, list[PriceRun]] = {}
    tunings = {name: one for name, one in without_price_parts(DEFAULT_TUNING).items() if name != WHOLE}
    for market in _price_markets(folder, price_files(folder), effort):
        say(f"B: {market.name}, {len(market.pools)} pools, {market.ticks / 24:.0f} days")
        for name, starts in follow_prices(market, {PRODUCT_POLICY: DEFAULT_TUNING, **tunings}).items():
            if name in tunings:
                without.setdefault(name, []).extend(starts)
                continue
            report.prices.append(summarize_runs(market.name, name, starts))
            everyone.setdefault(name, []).extend(starts)
    report.prices += _all(everyone)
    report.prices_left_out = _all({WHOLE: everyone.get(PRODUCT_POLICY, []), **without})


def _ordinary(folder: Path, effort: Effort, report: Report, say: ProgressReport) -> None:
    if D_HISTORY not in price_files(folder) or not exists(folder, "spot_advisor_linux.csv"):
        return
    hazards = load_hazards(folder, D_REGION, D_BANDS_BY)
    on_demand, found = load_on_demand(folder), []
    for market in _price_markets(folder, [D_HISTORY], effort):
        say(f"D: {market.name}, interruptions drawn")
        kinds = {pool.split("/")[1] for pool in market.pools}
        known = [on_demand[D_REGION, kind] for kind in kinds if (D_REGION, kind) in on_demand]
        if known:
            found.append(follow_ordinary(draw_losses(market, hazards, min(known)), DEFAULT_TUNING))
    report.ordinary = sum_by_policy(found)


def _all(found: Mapping[str, Sequence[PriceRun]]) -> list[PriceRunSummary]:
    return [summarize_runs(EVERY_MARKET, name, starts) for name, starts in found.items() if starts]


def _price_markets(folder: Path, names: Sequence[str], effort: Effort) -> Iterator[MarketHistory]:
    groups = load_groups(folder)
    for name in names:
        found = list(price_markets(load_history(folder, name), groups))
        yield from found[: effort.groups or len(found)]
