"""A checked model in the runtime: one thread, in the model's own process."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort

from domain.forecasting.forecaster import Forecast, why_impossible
from forecasting.model_check import INPUT, OUTPUTS, BadModel

TRIALS = 64


class OnnxSession:
    """Raise BadModel when a trial gives impossible values, or different ones each time."""

    def __init__(self, content: bytes, features: Sequence[str]) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        self._count = len(features)
        self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._try_out()

    def run(self, asked: bytes) -> bytes:
        """Rows of float32 in, (losses per hour, price ratio) of each row out."""
        rows = np.frombuffer(asked, dtype="<f4").reshape(-1, self._count)
        return self._values(rows).tobytes()

    def _values(self, rows: np.ndarray) -> np.ndarray:
        found = self._session.run(list(OUTPUTS), {INPUT: rows})
        for name, one in zip(OUTPUTS, found, strict=True):
            if one.dtype != np.float32 or one.size != len(rows):
                raise BadModel(f"{name} came as {one.dtype} {list(one.shape)} for {len(rows)} pools")
        return np.column_stack([one.reshape(-1) for one in found]).astype("<f4")

    def _try_out(self) -> None:
        """Try it on realistic rows from a fixed seed: values must be possible, repeatable, and independent."""
        rows = np.random.default_rng(7).uniform(-2.0, 7.0, (TRIALS, self._count)).astype(np.float32)
        rows[0], rows[1] = 0.0, 1.0
        found = self._values(rows)
        for number, (losses, ratio) in enumerate(found):
            if problem := why_impossible(Forecast(float(losses), float(ratio))):
                raise BadModel(f"in a trial, row {number + 1}: {problem}")
        if not np.array_equal(found, self._values(rows)):
            raise BadModel("in a trial it gave another answer to the same question")
        alone = np.vstack([self._values(rows[at : at + 1]) for at in range(0, TRIALS, 8)])
        if not np.allclose(alone, found[::8], rtol=1e-3, atol=1e-5):
            raise BadModel("in a trial its answer for a pool depended on which others were asked about")
