"""Writes the network as an ONNX file: standard operators, any number of pools, features in its metadata."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import ModelProto, TensorProto, checker, helper, numpy_helper

from forecasting.model_check import INPUT, OUTPUTS
from research.training.network import LEAST_LOG, MOST_LOG, Network
from research.training.samples import Floats

OPSET, IR = 17, 8
MOST_CHANGE = 0.5  # of the logarithm of a price within a day


def export_onnx(network: Network, price: Floats, names: Sequence[str]) -> bytes:
    values = {
        "mean": network.mean,
        "scale": network.scale,
        "line": network.line[:, None],
        "into": network.into,
        "bias": network.bias,
        "out": network.out[:, None],
        "start": np.array([network.start]),
        "price": price[:-1, None],
        "price_start": price[-1:],
        "least": np.array(LEAST_LOG),
        "most": np.array(MOST_LOG),
        "fall": np.array(-MOST_CHANGE),
        "rise": np.array(MOST_CHANGE),
    }
    steps = [
        ("Sub", [INPUT, "mean"], "centred"),
        ("Div", ["centred", "scale"], "given"),
        ("MatMul", ["given", "line"], "straight"),
        ("Gemm", ["given", "into", "bias"], "sums"),
        ("Tanh", ["sums"], "hidden"),
        ("MatMul", ["hidden", "out"], "bent"),
        ("Add", ["straight", "bent"], "both"),
        ("Add", ["both", "start"], "log"),
        ("Clip", ["log", "least", "most"], "clipped"),
        ("Exp", ["clipped"], OUTPUTS[0]),
        ("MatMul", [INPUT, "price"], "price_line"),
        ("Add", ["price_line", "price_start"], "price_log"),
        ("Clip", ["price_log", "fall", "rise"], "price_clipped"),
        ("Exp", ["price_clipped"], OUTPUTS[1]),
    ]
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps],
        "losses and prices of spot pools",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["pools", len(names)])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["pools", 1]) for name in OUTPUTS],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in values.items()],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    helper.set_model_props(model, {"features": ",".join(names)})
    checker.check_model(model, full_check=True)
    content: bytes = model.SerializeToString()
    return content
