"""A registered model as a forecaster."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from domain.autopilot.decision_inputs import Offer
from domain.forecasting.features import FEATURES, feature_rows
from domain.forecasting.forecaster import Forecast, ForecastFailed
from forecasting.model_process import ModelProcess, ModelRefused


class OnnxForecaster:
    """Raise ModelRefused for a file that is not the registered one, or for unknown features."""

    def __init__(
        self, name: str, content: bytes, features: Sequence[str], sha256: str, *, answer_s: float | None = None
    ) -> None:
        check_registration(content, features, sha256)
        self._name, self._features = name, tuple(features)
        self._process = ModelProcess(content, features, answer_s=answer_s)

    @property
    def name(self) -> str:
        return self._name

    def start(self) -> None:
        """Check the file and try it out. Raise ModelRefused or ForecastFailed."""
        self._process.start()

    def forecast(self, offers: Sequence[Offer]) -> list[Forecast]:
        try:
            return [Forecast(*one) for one in self._process.ask(feature_rows(offers, self._features))]
        except ModelRefused as error:
            raise ForecastFailed(str(error)) from error

    def close(self) -> None:
        self._process.close()


def check_registration(content: bytes, features: Sequence[str], sha256: str) -> None:
    if unknown := [name for name in features if name not in FEATURES]:
        raise ModelRefused(f"there is no feature {', '.join(unknown)}; there are {', '.join(FEATURES)}")
    if not features or len(set(features)) < len(features):
        raise ModelRefused("name each feature that the model takes, once, in its order")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise ModelRefused(
            f"the file's SHA-256 is {found}, not {sha256}: it is another file, or was changed on its way"
        )
