"""Small ONNX models for tests: a good one, and ways to spoil it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from domain.autopilot.decision_inputs import Offer
from domain.autopilot.pool_records import PriceRecord, Reliability
from forecasting import model_process

FEATURES = ["log_up_h", "absence"]
Step = tuple[str, list[str], str]
PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def patience_with_models() -> Iterator[None]:
    """For modules that import it: a busy machine is no reason for a model to be late."""
    with pytest.MonkeyPatch.context() as limits:
        for name in ("START_S", "ANSWER_S"):
            limits.setattr(model_process, name, PATIENCE_S)
        yield


def offer(pool: str = "us-east-1a/m5.large/spot", *, up_h: float = 200.0, usd: float = 0.3, up: bool = True) -> Offer:
    record = Reliability(at_h=0.0, up=up, since_h=-up_h, up_share=1.0, seen_share=1.0)
    return Offer(pool, PriceRecord(0.0, usd), record)


def model(
    losses: float = 0.01,
    ratio: float = 1.0,
    *,
    features: int = len(FEATURES),
    inputs: Sequence[str] = ("features",),
    outputs: Sequence[str] = ("losses_per_h", "price_ratio"),
    kind: int = TensorProto.FLOAT,
    rows: str | int = "pools",
    steps: Sequence[Step] | None = None,
    opset: int = 17,
    domain: str = "",
    props: dict[str, str] | None = None,
) -> ModelProto:
    """Every pool is lost so often and keeps its price, whatever its features."""
    given = inputs[0]
    zero = [("MatMul", [given, "zeros"], "nothing")]
    rest = [("Add", ["nothing", "losses"], outputs[0]), ("Add", ["nothing", "ratio"], outputs[-1])]
    values = {"zeros": np.zeros((features, 1)), "losses": np.array([losses]), "ratio": np.array([ratio])}
    width = np.float32 if kind == TensorProto.FLOAT else np.float64
    nodes = [
        helper.make_node(name, one, [to], domain=domain if name == "Odd" else "")
        for name, one, to in [*zero, *(steps or rest)]
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, kind, [rows, features]) for name in inputs],
        [helper.make_tensor_value_info(name, kind, [rows, 1]) for name in outputs],
        [numpy_helper.from_array(value.astype(width), name) for name, value in values.items()],
    )
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
    made: ModelProto = helper.make_model(graph, opset_imports=imports, ir_version=8)
    helper.set_model_props(made, props or {})
    return made


def onnx_bytes(made: ModelProto) -> bytes:
    content: bytes = made.SerializeToString()
    return content


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def with_tensor(made: ModelProto, **changes: Any) -> ModelProto:
    """The model with its first tensor's data kept elsewhere."""
    tensor = made.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", changes.get("location", "/etc/passwd")
    tensor.ClearField("raw_data")
    return made
