"""The models in use: each in a process that lives on between passes. One that fails is not asked for a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from db.autopilot.forecast_models import RunningModel, model_content, running_models
from db.engine.session import SessionFactory
from domain.autopilot.decision_inputs import Offer
from domain.autopilot.forecast_ratings import ForecastRatings, rate_by_forecast
from domain.autopilot.pool_supply import RegionPlatform, Supply
from domain.forecasting.forecaster import Forecast, Forecaster, ForecastFailed
from forecasting.model_process import ModelRefused
from forecasting.onnx_forecaster import OnnxForecaster

log = logging.getLogger(__name__)

RETRY_AFTER_S = 300.0


class Forecasters:
    def __init__(self, sessions: SessionFactory, clock: Callable[[], float] = time.monotonic) -> None:
        self._sessions, self._clock = sessions, clock
        self._known: dict[str, GuardedForecaster] = {}
        self._lock = threading.Lock()

    def ratings(
        self, supplies: Mapping[RegionPlatform, Supply], clients: Collection[str] | None = None
    ) -> list[tuple[RunningModel, ForecastRatings]]:
        """Ratings of all offers by each model in use; with `clients`, only by models that decide for one of them."""
        with self._sessions() as session:
            models = running_models(session)
        if clients is not None:
            models = [one for one in models if one.active_for & set(clients)]
        with self._lock:
            forecasters = [self._of(one) for one in models]
            self._close_others({one.model_id for one in models} if clients is None else set(self._known))
        return [(model, rate_by_forecast(supplies, one)) for model, one in zip(models, forecasters, strict=True)]

    def _of(self, model: RunningModel) -> GuardedForecaster:
        if model.model_id not in self._known:
            self._known[model.model_id] = GuardedForecaster(model.model_id, lambda: self._open(model), self._clock)
        return self._known[model.model_id]

    def _open(self, model: RunningModel) -> OnnxForecaster:
        with self._sessions() as session:
            content = model_content(session, model.model_id)
        return OnnxForecaster(model.model_id, content, model.features, model.sha256)

    def _close_others(self, wanted: Collection[str]) -> None:
        for model_id in [one for one in self._known if one not in wanted]:
            self._known.pop(model_id).close()


class GuardedForecaster(Forecaster):
    """A forecaster that is not asked again right after a failure, so that it does not hold up every pass."""

    def __init__(self, name: str, opened: Callable[[], OnnxForecaster], clock: Callable[[], float]) -> None:
        self._name, self._opened, self._clock = name, opened, clock
        self._forecaster: OnnxForecaster | None = None
        self._failed_at, self._why = 0.0, ""
        self._opening = threading.Lock()

    @property
    def name(self) -> str:
        return self._name

    def forecast(self, offers: Sequence[Offer]) -> Sequence[Forecast]:
        if self._why and self._clock() - self._failed_at < RETRY_AFTER_S:
            raise ForecastFailed(f"left alone for {RETRY_AFTER_S / 60:g} minutes after a failure: {self._why}")
        try:
            found = self._open().forecast(offers)
        except (ForecastFailed, ModelRefused) as error:
            log.warning("model %s gives no forecast: %s", self._name, error)
            self._failed_at, self._why = self._clock(), str(error)
            raise ForecastFailed(str(error)) from error
        self._why = ""
        return found

    def _open(self) -> OnnxForecaster:
        """A pass and a reconsidered decision may come at the same time, and share one process."""
        with self._opening:
            self._forecaster = self._forecaster or self._opened()
            return self._forecaster

    def close(self) -> None:
        if self._forecaster is not None:
            self._forecaster.close()
