"""The report as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from research.backtest.ablation import Ablation
from research.backtest.availability import FIRST, PRODUCT_POLICY, SECOND, WHOLE, PolicyResult
from research.backtest.cost_targets import TargetResult
from research.backtest.deadline_jobs import PUBLISHED
from research.backtest.ordinary_types import OrdinaryResult
from research.backtest.price_following import PriceRunSummary
from research.backtest.validation import ON_FIRST, ON_OTHERS, SHIPPED, HazardFit


def availability(console: Console, results: Sequence[PolicyResult]) -> None:
    """Backtest A: our policy with its interval, then every policy at weight 10."""
    table = Table(title="A, availability: regret 0 is the clairvoyant, 1 is always on-demand")
    for title in ("set", "part", "weight", "regret (95 %)", "J / on-demand (95 %)", "beyond the best simple (95 %)"):
        table.add_column(title)
    for one in (one for one in results if one.policy == PRODUCT_POLICY):
        found = (str(one.regret), str(one.j), f"{one.beyond_best}: {one.best_simple}")
        table.add_row(one.market, one.part, f"{one.weight:g}", *found)
    console.print(table)
    console.print(_everyone(results))


def _everyone(results: Sequence[PolicyResult]) -> Table:
    table = Table(title="A, weight 10; money against always on-demand, counts per 30 days")
    for title in ("set", "policy", "regret", "J", "money", "moves", "interruptions", "outage min"):
        table.add_column(title)
    for one in results:
        if one.weight == 10 and one.part == WHOLE:
            counts = (f"{one.moves_30d:.1f}", f"{one.interruptions_30d:.1f}", f"{one.outage_min_30d:.0f}")
            table.add_row(
                one.market, one.policy, f"{one.regret.value:.3f}", f"{one.j.value:.3f}", f"{one.money:.3f}", *counts
            )
    return table


def validation(console: Console, fits: Sequence[HazardFit], results: Sequence[PolicyResult]) -> None:
    """Parameters fitted on parts of the data, and their cost on the rest."""
    table = Table(title="A, hazard fitted on a part; gain: log-likelihood per loss on the rest, beyond a constant")
    for title in ("fitted on", "losses", "scale", "power", "own", "absence", "tight", "judged on losses", "gain"):
        table.add_column(title)
    for fit in fits:
        own = (fit.tuning.shape.scale, fit.tuning.shape.power, fit.tuning.own, fit.tuning.absence, fit.tuning.tight)
        figures = (f"{one:.3f}" for one in own)
        table.add_row(fit.name, str(fit.losses), *figures, str(fit.judged_losses), f"{fit.gain:.3f}")
    console.print(table)
    console.print(_by_fit(results))


def _by_fit(results: Sequence[PolicyResult]) -> Table:
    table = Table(title="A, weight 10: regret by what the hazard was fitted on (second halves are unseen by the first)")
    for title in ("set", "part", SHIPPED, ON_FIRST, ON_OTHERS):
        table.add_column(title)
    found = {(one.market, one.part, one.policy): one.regret for one in results}
    for market in dict.fromkeys(one.market for one in results):
        for part in (WHOLE, FIRST, SECOND):
            if (market, part, SHIPPED) in found:
                cells = (found.get((market, part, name)) for name in (SHIPPED, ON_FIRST, ON_OTHERS))
                table.add_row(market, part, *(f"{cell.value:.3f}" if cell else "" for cell in cells))
    return table


def prices(console: Console, spreads: Sequence[PriceRunSummary]) -> None:
    table = Table(title="B, prices: 30 days from every pool, a move costs 0.2 h, no interruptions")
    for title in ("market", "policy", "starts", "above clairvoyant (95 %)", "worst start", "USD/h", "moves: median"):
        table.add_column(title)
    table.add_column("most")
    table.add_column("unpaid")
    for one in spreads:
        excess = f"{one.excess.value:.2%} ({one.excess.low:.2%} to {one.excess.high:.2%})"
        moves = (f"{one.median_moves:g}", str(one.most_moves), f"{one.unpaid} of {one.moves}")
        table.add_row(
            one.market, one.policy, str(one.starts), excess, f"{one.worst:.2%}", f"{one.money_usd:.4f}", *moves
        )
    console.print(table)


def deadlines(console: Console, found: Mapping[str, tuple[float, float]]) -> None:
    table = Table("policy", "on-demand h", "spot h", "published", title="C, deadline jobs: hours of work")
    for name, (on_demand, spot) in found.items():
        said = " / ".join(f"{hours:.1f}" for hours in PUBLISHED[name])
        table.add_row(name, f"{on_demand:.1f}", f"{spot:.1f}", said)
    console.print(table)


def ordinary(console: Console, found: Sequence[OrdinaryResult]) -> None:
    title = "D, ordinary types, SEMI-SYNTHETIC: prices observed, interruptions drawn; weight 10; counts per 30 days"
    table = Table(title=title)
    for column in ("policy", "starts", "J / on-demand (95 %)", "money", "moves", "interruptions", "outage min"):
        table.add_column(column)
    for one in found:
        counts = (f"{one.moves_30d:.2f}", f"{one.interruptions_30d:.2f}", f"{one.outage_min_30d:.1f}")
        table.add_row(one.policy, str(one.starts), str(one.j), f"{one.money:.3f}", *counts)
    console.print(table)


def ablations(console: Console, left: Sequence[Ablation], spreads: Sequence[PriceRunSummary]) -> None:
    table = Table("set", title="A, weight 10: regret without")
    for one in left:
        table.add_column(one.part)
    for name in dict.fromkeys(name for one in left for name in one.regrets):
        table.add_row(name, *(f"{one.regrets[name]:.3f}" for one in left))
    table.add_row("mean J", *(f"{one.mean_j:.4f}" for one in left))
    table.add_row("worst J", *(f"{one.worst_j:.3f}" for one in left))
    console.print(table)
    table = Table(
        "without", "above clairvoyant", "worst start", "median moves", "unpaid", title="B, each part left out"
    )
    for spread in spreads:
        unpaid = f"{spread.unpaid} of {spread.moves}"
        excess = (f"{spread.excess.value:.2%}", f"{spread.worst:.2%}")
        table.add_row(spread.policy, *excess, f"{spread.median_moves:g}", unpaid)
    console.print(table)


def targets(console: Console, found: Sequence[TargetResult]) -> None:
    table = Table(title="What was asked")
    for title in ("", "what", "at most", "figure", "95 % interval, or more", "kind"):
        table.add_column(title)
    for one in found:
        said = "[green]met[/]" if one.met else "[red]short[/]"
        table.add_row(said, one.what, one.limit, one.figure, one.interval, one.kind)
    console.print(table)
