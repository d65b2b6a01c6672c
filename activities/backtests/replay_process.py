"""A replay in a process of its own: python -m activities.backtests.replay_process, a ReplayHistory as JSON
in, its result or problem out.

A replay takes seconds of processor time. In the worker's own process it would hold up a rescue.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

from pydantic import TypeAdapter

from domain.backtest.contract import FAILED, NO_DATA, BacktestError, NoData
from domain.backtest.history import ForecastModel, ReplayHistory
from domain.backtest.server_replay import replay_history
from forecasting.model_process import ModelRefused
from forecasting.onnx_forecaster import OnnxForecaster

NICE = 10
MODEL_ANSWER_S = 60.0  # for eight thousand rows at once, on a busy machine


def main() -> None:
    os.nice(NICE)
    past = TypeAdapter(ReplayHistory).validate_json(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps(answer(past)))


def answer(past: ReplayHistory) -> dict[str, Any]:
    """{"result": …} or {"type": …, "problem": …}."""
    try:
        forecaster = _forecaster(past.model) if past.model else None
        try:
            return {"result": replay_history(past, forecaster)}
        finally:
            if forecaster:
                forecaster.close()
    except NoData as why:
        return {"type": NO_DATA, "problem": str(why)}
    except (BacktestError, ModelRefused) as why:
        return {"type": FAILED, "problem": str(why)}


def _forecaster(model: ForecastModel) -> OnnxForecaster:
    content = base64.b64decode(model.content)
    return OnnxForecaster(model.name, content, model.features, model.sha256, answer_s=MODEL_ANSWER_S)


if __name__ == "__main__":
    main()
