"""Model files: what is run, what is refused and why, and what becomes of one that fails while it runs."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import ModelProto, TensorProto, helper

import forecasting.model_process
from domain.forecasting.features import FEATURES as KNOWN
from domain.forecasting.forecaster import Forecast, ForecastFailed
from forecasting.model_check import BadModel, check_model_file
from forecasting.model_process import MAX_BYTES, ModelProcess, ModelRefused
from forecasting.onnx_forecaster import OnnxForecaster
from lab.stack.settings import REPOSITORY
from tests.onnx_models import FEATURES, PATIENCE_S, model, offer, onnx_bytes, patience_with_models, sha256, with_tensor

__all__ = ["patience_with_models"]  # fixtures


def refused(made: ModelProto | bytes, why: str, features: list[str] | None = None) -> None:
    content = made if isinstance(made, bytes) else onnx_bytes(made)
    with pytest.raises(BadModel, match=why):
        check_model_file(content, features or FEATURES)


@pytest.fixture
def forecaster() -> Iterator[OnnxForecaster]:
    content = onnx_bytes(model(0.02, 1.1))
    made = OnnxForecaster("mdl-1", content, FEATURES, sha256(content))
    yield made
    made.close()


# --- what is run


def test_a_model_answers_for_each_pool(forecaster: OnnxForecaster) -> None:
    found = forecaster.forecast([offer(), offer(up_h=1.0), offer(up=False)])
    assert [(round(one.losses_per_h, 5), round(one.price_ratio, 5)) for one in found] == [(0.02, 1.1)] * 3
    assert forecaster.forecast([]) == []


def test_ten_thousand_pools_are_asked_in_pieces(forecaster: OnnxForecaster) -> None:
    assert len(forecaster.forecast([offer()] * 10_000)) == 10_000


def test_the_model_that_comes_with_us_is_what_its_record_says() -> None:
    folder = REPOSITORY / "forecasting" / "example"
    content, about = (folder / "example.onnx").read_bytes(), json.loads((folder / "example.json").read_text())
    assert about["sha256"] == sha256(content)
    assert about["features"] == list(KNOWN)
    assert {"log_likelihood_gain_per_loss", "mean_j", "sets"} <= about["report"].keys()
    made = OnnxForecaster("example", content, about["features"], about["sha256"])
    try:
        young, old = made.forecast([offer(up_h=0.1), offer(up_h=300.0)])
    finally:
        made.close()
    assert young.losses_per_h > 3 * old.losses_per_h
    assert isinstance(old, Forecast)
    assert 0.9 < old.price_ratio < 1.1


# --- what is refused


def test_a_good_model_is_let_through() -> None:
    check_model_file(onnx_bytes(model()), FEATURES)
    check_model_file(onnx_bytes(model(props={"features": ",".join(FEATURES)})), FEATURES)


def test_wrong_shapes_types_and_names_are_refused() -> None:
    refused(model(features=3), r"features is float \[pools, 3\]; wanted is float32 \[pools, 2\]")
    refused(model(kind=TensorProto.DOUBLE), r"features is double \[pools, 2\]; wanted is float32")
    refused(model(inputs=("x",)), "its inputs are x; one is wanted, features")
    refused(model(inputs=("features", "more")), "its inputs are features, more")
    refused(model(outputs=("hazard", "price_ratio")), "its outputs are hazard, price_ratio; wanted are losses_per_h")
    refused(model(rows=4), "its first dimension is fixed")
    wide = model()
    wide.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7
    refused(wide, "(losses_per_h is float .pools, 7.|not a valid graph)")


def test_features_of_other_names_than_its_own_metadata_are_refused() -> None:
    refused(model(props={"features": "absence,log_up_h"}), "its own metadata names the features absence,log_up_h")


def test_what_is_no_onnx_is_refused() -> None:
    for content in (b"", b"\x80\x04\x95pickle", b"not a model", onnx_bytes(model())[: len(onnx_bytes(model())) // 2]):
        refused(content, "not an ONNX file|not a valid graph|its (in|out)puts are|one without a graph")


def test_data_in_another_file_is_refused() -> None:
    refused(with_tensor(model()), "zeros keeps its data in another file; a model is one file")


def test_other_domains_functions_and_operators_are_refused() -> None:
    odd = [("Odd", ["nothing"], "losses_per_h"), ("Add", ["nothing", "ratio"], "price_ratio")]
    refused(model(domain="com.microsoft", steps=odd), "it uses operators of 'com.microsoft'")
    for kind in ("Loop", "RandomNormalLike", "Expand", "NonZero", "Odd"):
        refused(model(steps=[(kind, ["nothing"], "losses_per_h")]), f"operator {kind} is not run here")
    with_function = model()
    with_function.functions.add().name = "f"
    refused(with_function, "it defines functions")


def test_an_opset_that_is_not_known_is_refused() -> None:
    refused(model(opset=7), "opset 7; 13 to 23 are run")
    refused(model(opset=99), "opset 99; 13 to 23 are run")


def test_a_graph_that_hangs_together_wrongly_is_refused() -> None:
    refused(model(steps=[("Add", ["nowhere", "losses"], "losses_per_h")]), "not a valid graph")


def started(made: ModelProto | bytes, **options: float) -> None:
    process = ModelProcess(made if isinstance(made, bytes) else onnx_bytes(made), FEATURES, **options)
    try:
        process.start()
    finally:
        process.close()


@pytest.mark.parametrize(
    ("losses", "ratio", "why"),
    [
        (float("nan"), 1.0, "in a trial, row 1: losses_per_h is nan"),
        (float("inf"), 1.0, "in a trial, row 1: losses_per_h is inf"),
        (-0.1, 1.0, "in a trial, row 1: losses_per_h is -0.1, not from 0 to 60"),
        (0.1, 0.0, "in a trial, row 1: price_ratio is 0, not from 0.2 to 5"),
        (0.1, float("nan"), "price_ratio is nan"),
    ],
)
def test_a_model_that_gives_nonsense_in_its_trial_is_refused(losses: float, ratio: float, why: str) -> None:
    with pytest.raises(ModelRefused, match=why):
        started(model(losses, ratio))


def test_a_model_whose_answers_depend_on_each_other_is_refused() -> None:
    axes = helper.make_node("ReduceMean", ["features"], ["mean"], axes=[0, 1], keepdims=1)
    made = model(steps=[("Add", ["nothing", "ratio"], "price_ratio"), ("Exp", ["mean2"], "losses_per_h")])
    made.graph.node.insert(1, axes)
    made.graph.node.insert(2, helper.make_node("Add", ["nothing", "mean"], ["mean2"]))
    with pytest.raises(ModelRefused, match="depended on which others were asked about"):
        started(made)


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ModelRefused, match=f"{MAX_BYTES + 1} bytes; a model may have {MAX_BYTES} at most"):
        ModelProcess(b"x" * (MAX_BYTES + 1), FEATURES)


def test_another_file_than_was_registered_is_refused() -> None:
    content = onnx_bytes(model())
    with pytest.raises(ModelRefused, match="it is another file, or was changed on its way"):
        OnnxForecaster("mdl-1", content + b"\0", FEATURES, sha256(content))


@pytest.mark.parametrize("features", [["moon_phase"], [], ["absence", "absence"]])
def test_features_that_there_are_not_are_refused(features: list[str]) -> None:
    content = onnx_bytes(model())
    with pytest.raises(ModelRefused, match=r"there is no feature moon_phase|name each feature"):
        OnnxForecaster("mdl-1", content, features, sha256(content))


# --- what fails while it runs


def test_a_model_that_is_slow_is_ended_and_the_next_question_starts_it_again(forecaster: OnnxForecaster) -> None:
    process = forecaster._process
    process.start()
    assert process._process is not None
    first = process._process.pid
    os.kill(first, 19)  # SIGSTOP: it answers no more
    process._answer_s = 0.3
    with pytest.raises(ForecastFailed, match=r"no answer within 0\.3 s, answering for 1 pools"):
        forecaster.forecast([offer()])
    process._answer_s = PATIENCE_S
    assert forecaster.forecast([offer()])
    assert process._process.pid != first


def test_a_model_whose_process_dies_has_no_forecast_and_is_started_again(forecaster: OnnxForecaster) -> None:
    process = forecaster._process
    process.start()
    assert process._process is not None
    process._process.kill()
    process._process.wait()
    assert len(forecaster.forecast([offer()])) == 1


def test_a_process_that_cannot_be_started_is_no_forecast(
    forecaster: OnnxForecaster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(forecasting.model_process, "_ROOT", tmp_path / "nowhere")
    with pytest.raises(ForecastFailed, match="its process could not be started"):
        forecaster.forecast([offer()])


def test_a_runtime_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "forecasting"
    package.mkdir()
    for name in ("model_child.py", "framing.py", "__init__.py"):
        (package / name).write_text((REPOSITORY / "forecasting" / name).read_text())
    monkeypatch.setattr(forecasting.model_process, "_ROOT", tmp_path)
    with pytest.raises(ModelRefused, match=r"this installation cannot run models: .*install the extra `models`"):
        started(model())


def test_nothing_of_our_environment_reaches_the_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "forecasting"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "framing.py").write_text((REPOSITORY / "forecasting" / "framing.py").read_text())
    (package / "model_child.py").write_text(
        "import os, sys\nfrom forecasting.framing import write_block\n"
        "write_block(sys.stdout.buffer, ','.join(sorted(os.environ)).encode() or b'none')\nsys.stdout.buffer.flush()\n"
    )
    monkeypatch.setenv("DATABASE_URL", "mysql://secret")
    monkeypatch.setattr(forecasting.model_process, "_ROOT", tmp_path)
    with pytest.raises(ModelRefused) as caught:
        started(model())
    assert "DATABASE_URL" not in str(caught.value)
