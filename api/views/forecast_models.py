"""Models as they are registered and shown."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from api.views.base import Name, Request, View
from domain.forecasting.forecaster import ForecasterState

MOST_REPORT = 64 * 1024


class ModelRequest(Request):
    """An ONNX file, base64, with the names of the features it takes in their order (docs/models.md), and the report
    of its backtest as its maker gives it."""

    name: Name
    features: Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=64)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    onnx: Annotated[str, Field(min_length=1)]
    report: dict[str, Any]

    @field_validator("report")
    @classmethod
    def _not_too_long(cls, report: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(report)) > MOST_REPORT:
            raise ValueError(f"the report may have {MOST_REPORT} characters at most")
        return report

    def content(self) -> bytes:
        """Raise ValueError when it is no base64."""
        try:
            return base64.b64decode(self.onnx, validate=True)
        except binascii.Error as error:
            raise ValueError(f"onnx is no base64: {error}") from None


class ActivationRequest(Request):
    """`force`: although no backtest on the client's own history speaks for it; `why` is then needed, and kept."""

    client_id: Annotated[str, Field(max_length=64)]
    force: bool = False
    why: Annotated[str, Field(max_length=500)] = ""

    @model_validator(mode="after")
    def _said_why(self) -> Self:
        if self.force and not self.why.strip():
            raise ValueError("force needs a reason in why")
        return self


class RollBackRequest(Request):
    client_id: Annotated[str, Field(max_length=64)]


class UseView(View):
    """A time in which a client's decisions were informed by the model."""

    client_id: str
    began_at: datetime
    began_by: str
    backtest_id: str
    forced: bool
    why: str
    ended_at: datetime | None
    ended_by: str


class ComparedView(View):
    """Decisions of the model beside those of the policy that decided. Costs are sums of USD per hour, as the built-in
    reckoning has them, of the places each would have the servers in."""

    client_id: str
    decisions: int
    agreed: int
    fell_back: int
    cost_usd: float
    built_in_cost_usd: float


class ModelView(View):
    id: str
    name: str
    sha256: str
    size: int
    features: list[str]
    report: dict[str, Any]
    state: ForecasterState
    registered_at: datetime
    registered_by: str
    retired_at: datetime | None


class ModelDetail(ModelView):
    uses: list[UseView]
    compared: list[ComparedView]


class ModelList(View):
    items: list[ModelView]
