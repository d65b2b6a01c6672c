"""What a model file may hold to be run: plain arithmetic over the named features, and nothing else.

The check runs in the model's own process (`forecasting.model_child`), so that a fault of the parser stays there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import onnx
from google.protobuf.message import DecodeError

INPUT, OUTPUTS = "features", ("losses_per_h", "price_ratio")
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})  # those of the standard
OPSETS = range(13, 24)
# No control flow, no random numbers, nothing that turns small tensors into large ones: all of these end, and soon.
OPERATORS = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Neg", "Abs", "Exp", "Log", "Sqrt", "Pow", "Reciprocal", "Min", "Max", "Clip"),
        *(
            "MatMul",
            "Gemm",
            "Relu",
            "LeakyRelu",
            "Elu",
            "Selu",
            "Sigmoid",
            "HardSigmoid",
            "Tanh",
            "Softplus",
            "Softsign",
        ),
        *("Erf", "Softmax", "LogSoftmax", "Floor", "Ceil", "Round", "Sign", "Cast", "Identity", "Constant", "Where"),
        *("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal", "And", "Or", "Not"),
        *("Concat", "Split", "Slice", "Gather", "Squeeze", "Unsqueeze", "Flatten", "ArgMax", "BatchNormalization"),
        *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"),
        *("LinearRegressor", "TreeEnsembleRegressor", "Scaler", "Normalizer", "Imputer"),
    }
)


class BadModel(Exception):
    """The file cannot be used as a model; the message says why."""


def check_model_file(content: bytes, features: Sequence[str]) -> None:
    """Raise BadModel unless it is a model of these features that may be run."""
    model = _parsed(content)
    _standard(model)
    _plain(model)
    _interface(model.graph, features)
    for prop in model.metadata_props:
        if prop.key == "features" and prop.value.split(",") != list(features):
            raise BadModel(f"its own metadata names the features {prop.value}; registered are {','.join(features)}")


def _parsed(content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except DecodeError:
        raise BadModel("not an ONNX file") from None
    if not model.graph.node:
        raise BadModel("not an ONNX file, or one without a graph")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise BadModel(f"{tensor.name or 'a tensor'} keeps its data in another file; a model is one file")
    return model


def _standard(model: onnx.ModelProto) -> None:
    for opset in model.opset_import:
        if opset.domain not in DOMAINS:
            raise BadModel(f"it uses operators of {opset.domain!r}; only the standard's own are run")
        if opset.domain in ("", "ai.onnx") and opset.version not in OPSETS:
            raise BadModel(f"opset {opset.version}; {OPSETS.start} to {OPSETS.stop - 1} are run")
    if model.functions:
        raise BadModel("it defines functions; only the standard's operators are run")
    if model.graph.sparse_initializer:
        raise BadModel("it has sparse tensors, which are not run")


def _plain(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        if node.domain not in DOMAINS:
            raise BadModel(f"operator {node.op_type} of {node.domain!r}; only the standard's own are run")
        if node.op_type not in OPERATORS:
            raise BadModel(
                f"operator {node.op_type} is not run here (no control flow, no chance, no shapes from values)"
            )
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BadModel(f"not a valid graph: {str(error).splitlines()[0]}") from None


def _interface(graph: onnx.GraphProto, features: Sequence[str]) -> None:
    given = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in given]
    if [one.name for one in inputs] != [INPUT]:
        raise BadModel(f"its inputs are {', '.join(one.name for one in inputs) or 'none'}; one is wanted, {INPUT}")
    if sorted(one.name for one in graph.output) != sorted(OUTPUTS):
        raise BadModel(
            f"its outputs are {', '.join(one.name for one in graph.output)}; wanted are {', '.join(OUTPUTS)}"
        )
    if (shape := _shape(inputs[0])) is None or len(shape) != 2 or shape[1] != len(features):
        raise BadModel(f"{INPUT} is {_said(inputs[0])}; wanted is float32 [pools, {len(features)}]")
    for one in graph.output:
        if (shape := _shape(one)) is None or not (len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)):
            raise BadModel(f"{one.name} is {_said(one)}; wanted is float32 [pools] or [pools, 1]")
    if any((_shape(one) or [0])[0] for one in (inputs[0], *graph.output)):
        raise BadModel("its first dimension is fixed; it has to be free, for as many pools as there are")


def _shape(value: onnx.ValueInfoProto) -> list[int] | None:
    """0 for a free dimension; None for what is no float32 tensor."""
    tensor = value.type.tensor_type
    if tensor.elem_type != onnx.TensorProto.FLOAT:
        return None
    return [one.dim_value for one in tensor.shape.dim]


def _said(value: onnx.ValueInfoProto) -> str:
    tensor = value.type.tensor_type
    kind = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return f"{kind} [{', '.join(str(one.dim_value or one.dim_param or '?') for one in tensor.shape.dim)}]"


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from ([attribute.t] if attribute.HasField("t") else [])
            yield from attribute.tensors
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _tensors(inner)
