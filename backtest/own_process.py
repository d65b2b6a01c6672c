"""A replay in a process of its own: python -m backtest.own_process, a Past as JSON in, its result or problem out.

It takes seconds of processor: beside a worker's threads it would hold up a rescue.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

from pydantic import TypeAdapter

from backtest.errors import BacktestError, NoData
from backtest.own import replay
from domain.backtesting.contract import FAILED, NO_DATA
from domain.backtesting.history import Model, Past
from forecasting.forecaster import OnnxForecaster
from forecasting.process import ModelRefused

NICE = 10
MODEL_ANSWER_S = 60.0  # for eight thousand rows at once, on a machine that is busy with better things


def main() -> None:
    os.nice(NICE)
    past = TypeAdapter(Past).validate_json(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(answer(past)))


def answer(past: Past) -> dict[str, Any]:
    """{"result": …} or {"type": …, "problem": …}."""
    try:
        forecaster = _forecaster(past.model) if past.model else None
        try:
            return {"result": replay(past, forecaster)}
        finally:
            if forecaster:
                forecaster.close()
    except NoData as why:
        return {"type": NO_DATA, "problem": str(why)}
    except (BacktestError, ModelRefused) as why:
        return {"type": FAILED, "problem": str(why)}


def _forecaster(model: Model) -> OnnxForecaster:
    content = base64.b64decode(model.content)
    return OnnxForecaster(model.name, content, model.features, model.sha256, answer_s=MODEL_ANSWER_S)


if __name__ == "__main__":
    main()
