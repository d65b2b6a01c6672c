"""Train the example model on a folder of history: python -m research.training DATA [--out FOLDER]."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from domain.autopilot.tuning import DEFAULT_TUNING
from domain.backtest.contract import BacktestError
from domain.forecasting.features import FEATURES
from forecasting.onnx_forecaster import OnnxForecaster
from research.backtest.availability import ObservedMarket
from research.backtest.market_sets import availability_sets
from research.backtest.price_histories import load_history, price_files, price_markets
from research.backtest.traces import load_traces
from research.backtest.type_catalog import load_groups, load_on_demand
from research.backtest.validation import fit_first_halves
from research.training.evaluation import judge_sets, means_by_weight
from research.training.export import export_onnx
from research.training.network import likelihood_gain, price_line, train_network
from research.training.samples import loss_samples, price_ratios

NAME = "example"
OUT = Path(__file__).resolve().parents[2] / "forecasting" / NAME
LEARNT_PRICES = "sa-east-1"


def main(arguments: Sequence[str]) -> int:
    given = _parse(arguments)
    try:
        content, about = make(given.data)
    except BacktestError as error:
        print(f"train: {error}", file=sys.stderr)
        return 1
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / f"{NAME}.onnx").write_bytes(content)
    (given.out / f"{NAME}.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
    print(f"written to {given.out}: {len(content)} bytes")
    return 0


def make(data: Path) -> tuple[bytes, dict[str, Any]]:
    """The model and what is registered with it."""
    names = list(FEATURES)
    on_demand = {kind: usd for (region, kind), usd in load_on_demand(data).items() if region.startswith("us-")}
    markets = [ObservedMarket.of(one) for one in availability_sets(load_traces(data), on_demand)]
    early, late = loss_samples(markets, DEFAULT_TUNING, names)
    print(f"learning from {int(early.lost.sum())} losses in {early.hours.sum():.0f} hours of first halves")
    network = train_network(early)
    content = export_onnx(network, price_line(*price_ratios(_price_markets(data), names)), names)
    fitted = fit_first_halves(markets, DEFAULT_TUNING)
    sha256 = hashlib.sha256(content).hexdigest()
    forecaster = OnnxForecaster(NAME, content, names, sha256, answer_s=60.0)
    try:
        rows = judge_sets(markets, fitted.tuning, forecaster, print)
    finally:
        forecaster.close()
    likelier = {"model": round(likelihood_gain(network, late), 3), "built-in": round(fitted.gain, 3)}
    print(f"log-likelihood per loss beyond a constant hazard, on what neither has seen: {likelier}")
    report = {
        "learnt_from": f"losses of the first halves of the availability series, prices of {LEARNT_PRICES}",
        "judged_on": "second halves, and whole series too short to be halved; both fitted on first halves",
        "log_likelihood_gain_per_loss": likelier,
        "mean_j": [_mean(*one) for one in means_by_weight(rows)],
        "sets": rows,
    }
    return content, {"name": NAME, "features": names, "sha256": sha256, "report": report}


def _mean(weight: float, built_in: float, model: float, cheaper: int) -> dict[str, Any]:
    verdict = "beats" if model < built_in else "does not beat"
    print(f"weight {weight:g}: mean J {model:.4f}, built-in {built_in:.4f}; {cheaper} sets cheaper: {verdict} it")
    found = {"weight": weight, "model": round(model, 4), "built_in": round(built_in, 4), "sets_cheaper": cheaper}
    return {**found, "beats_built_in": model < built_in}


def _price_markets(data: Path) -> list[Any]:
    groups = load_groups(data)
    names = [name for name in price_files(data) if LEARNT_PRICES in name]
    return [market for name in names for market in price_markets(load_history(data, name), groups)]


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="research.training", description="Make the example model.")
    parser.add_argument("data", type=Path, help="folder with traces_*.csv, prices_*.csv, ondemand.csv")
    parser.add_argument("--out", type=Path, default=OUT)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
