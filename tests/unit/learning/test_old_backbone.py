"""Feature ONNX files: what is accepted, what it costs, and that it is the same as part of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from relook.detection.model import Model
from relook.detection.session import Session
from relook.errors import BackboneError
from relook.learning import old_backbone as backbone
from relook.learning.old_backbone import Backbone, our_backbone
from relook.learning.old_graph import GraphBuilder
from relook.learning.training import train
from tests.unit.foreign import FLOAT, UINT8, Sketch, feature_model, feature_onnx, with_outside_weights
from tests.unit.learning.pictures import normals, plate_png

GRID = 32


def some_image(side: int) -> NDArray[np.float32]:
    return np.random.default_rng(3).random((1, 3, side, side), np.float32)


def test_what_it_is() -> None:
    data = feature_onnx(96)
    found = Backbone.from_bytes(data)
    assert (found.side, found.maps, found.channels) == (96, ((8, 24, 24), (12, 12, 12)), 20)
    assert found == Backbone.from_bytes(data)
    assert found.sha256 != Backbone.from_bytes(feature_onnx(64)).sha256


def test_ours_is_one() -> None:
    assert our_backbone().channels > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_what_it_costs(threads: int) -> None:
    small, large = (Backbone.from_bytes(feature_onnx(64, widths=(width, width))) for width in (4, 96))
    assert 0 < small.cost_ms(threads=threads) < large.cost_ms(threads=threads)


def in_a_graph(*parts: Backbone) -> bytes:
    graph = GraphBuilder()
    image = graph.input("image", np.float32, (1, 3, 256, 256))
    for index, part in enumerate(parts):
        graph.output(f"found_{index}", part.nodes(graph, image, GRID), (1, part.channels, GRID, GRID))
    return graph.finish()


def smooth_on_grid(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The mean over 3 x 3, then blocks averaged or cells spread bilinearly, written out."""
    padded = np.pad(values[0].astype(float), [(0, 0), (1, 1), (1, 1)], mode="edge")
    size = values.shape[2]
    smooth = np.mean([padded[:, i : i + size, j : j + size] for i in range(3) for j in range(3)], axis=0)
    if size >= GRID:
        block = size // GRID
        return np.asarray(smooth.reshape(-1, GRID, block, GRID, block).mean(axis=(2, 4)))
    at = ((np.arange(GRID) + 0.5) * size / GRID - 0.5).clip(0, size - 1)
    low = np.minimum(at.astype(int), size - 2)
    part = at - low
    rows = smooth[:, low] * (1 - part)[:, None] + smooth[:, low + 1] * part[:, None]
    return np.asarray(rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part)


def test_spliced_in_it_gives_what_it_gives_alone() -> None:
    data, image = feature_onnx(256), some_image(256)
    maps = Session(data, threads=1)(image=image)
    found = Session(in_a_graph(Backbone.from_bytes(data)), threads=1)(image=image)["found_0"][0]
    np.testing.assert_allclose(found, np.concatenate([smooth_on_grid(m) for m in maps.values()]), rtol=1e-3, atol=1e-4)


def test_splicing_is_the_same_every_time_and_names_keep_apart() -> None:
    first, second = Backbone.from_bytes(feature_onnx(64)), Backbone.from_bytes(feature_onnx(96))
    assert in_a_graph(first, second) == in_a_graph(first, second)
    image = some_image(256)
    both = Session(in_a_graph(first, second), threads=1)(image=image)
    for index, each in enumerate((first, second)):
        alone = Session(in_a_graph(each), threads=1)(image=image)["found_0"]
        np.testing.assert_allclose(both[f"found_{index}"], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [12, 18, 22])
def test_other_opsets_are_brought_to_ours(opset: int) -> None:
    data, image = feature_onnx(64, opset=opset), some_image(256)
    expected = Session(in_a_graph(Backbone.from_bytes(feature_onnx(64))), threads=1)(image=image)["found_0"]
    found = Session(in_a_graph(Backbone.from_bytes(data)), threads=1)(image=image)["found_0"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_local_functions_are_written_out() -> None:
    body = [helper.make_node("Add", ["x", "x"], ["twice"]), helper.make_node("Relu", ["twice"], ["y"])]
    function = helper.make_function("own", "Double", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    model = feature_model()
    model.graph.node[-1].CopyFrom(helper.make_node("Double", [model.graph.node[-1].input[0]], ["layer2"], domain="own"))
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    assert Backbone.from_bytes(bytes(model.SerializeToString())).channels == 20


def two_inputs() -> bytes:
    model = feature_model()
    model.graph.input.append(helper.make_tensor_value_info("sensitivity", FLOAT, ()))
    return bytes(model.SerializeToString())


def no_map() -> bytes:
    sketch = Sketch()
    sketch.add("GlobalAveragePool", "image", output="pooled")
    sketch.add("Flatten", "pooled", output="features")
    model = sketch.model({"image": (FLOAT, (1, 3, 64, 64))}, {"features": (FLOAT, (1, 3))})
    return bytes(model.SerializeToString())


def foreign_operator() -> bytes:
    model = feature_model()
    model.graph.node[-1].domain = "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return bytes(model.SerializeToString())


def unsupported_at_our_opset() -> bytes:
    sketch = Sketch()
    sketch.add("Swish", "image", output="map")
    model = sketch.model({"image": (FLOAT, (1, 3, 64, 64))}, {"map": (FLOAT, (1, 3, 64, 64))}, opset=24)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"not ONNX at all", "not an ONNX file"),
        (b"", "not an ONNX file this Relook can use"),
        (with_outside_weights(feature_model()), "weights in another file; save it as one file"),
        (two_inputs(), "2 inputs; one is expected"),
        (foreign_operator(), r"operators of com\.microsoft"),
        (unsupported_at_our_opset(), "opset 24, which does not convert to 18; export it with opset 18"),
        (feature_onnx(input_type=UINT8), "has image as uint8; float"),
        (feature_onnx(input_type=int(TensorProto.FLOAT16)), "has image as float16; float"),
        (feature_onnx(input_shape=("batch", 3, 64, 64)), r"image of shape \(\?, 3, 64, 64\).*no dynamic axes"),
        (feature_onnx(input_shape=(1, 3, "height", "width")), r"image of shape \(1, 3, \?, \?\)"),
        (feature_onnx(input_shape=(1, 1, 64, 64)), r"image of shape \(1, 1, 64, 64\)"),
        (feature_onnx(16), r"\(1, 3, 16, 16\).*a side of 32 to 1024"),
        (feature_onnx(64, input_shape=(1, 3, 64, 80)), r"image of shape \(1, 3, 64, 80\)"),
        (no_map(), r"features of shape \(1, 3\); maps \(1, channels, height, width\)"),
        (feature_onnx(widths=(8, 2041)), "2049 channels; 1 to 2048"),
        (feature_onnx(last="Log"), "NaN or infinity for a black image"),
    ],
    ids=[
        "garbage",
        "empty",
        "external data",
        "two inputs",
        "foreign operator",
        "too new",
        "uint8",
        "float16",
        "open batch",
        "open sides",
        "grey",
        "too small",
        "not square",
        "a vector",
        "too many channels",
        "NaN",
    ],
)
def test_what_cannot_serve_says_why(data: bytes, says: str) -> None:
    with pytest.raises(BackboneError, match=says):
        Backbone.from_bytes(data)


def test_a_backbone_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backbone, "MAX_BACKBONE_BYTES", 1000)
    with pytest.raises(BackboneError, match="at most 1,000 are accepted"):
        Backbone.from_bytes(feature_onnx())


def test_a_model_is_trained_with_it() -> None:
    own = Backbone.from_bytes(feature_onnx(64))
    package = train(normals(range(10)), project="plate", version="1", backbone=own).package
    assert len(package.graph) > len(own.model)
    model = Model(package)
    assert [model.detect(plate_png(900, defect)).is_anomalous for defect in (None, "scratch")] == [False, True]
