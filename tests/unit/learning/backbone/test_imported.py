"""Feature ONNX files: what is accepted, what it costs, and that it is the same as part of a graph."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from relook.detection.arrays import FloatArray
from relook.detection.session import Session
from relook.errors import BackboneError
from relook.learning.backbone import checks
from relook.learning.backbone.imported import ImportedBackbone
from relook.learning.backbone.protocol import Backbone
from relook.learning.graph.builder import Graph
from tests.unit.foreign import FLOAT, UINT8, Sketch, feature_model, feature_onnx, with_outside_weights


def images(*shape: int) -> FloatArray:
    """(n, 3, height, width) bytes."""
    return np.random.default_rng(3).integers(0, 256, shape).astype(np.float32)


def test_what_it_is() -> None:
    data = feature_onnx(96)
    backbone = ImportedBackbone.from_bytes(data)
    assert (backbone.side, backbone.map_shapes, backbone.channels) == (96, ((8, 24, 24), (12, 12, 12)), (8, 12))
    assert backbone == ImportedBackbone.from_bytes(data)
    assert backbone.sha256 != ImportedBackbone.from_bytes(feature_onnx(64)).sha256
    assert (backbone.identity.name, backbone.identity.sha256) == ("own", backbone.sha256)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_it_costs(threads: int) -> None:
    small, large = (ImportedBackbone.from_bytes(feature_onnx(64, widths=(width, width))) for width in (4, 96))
    assert 0 < small.cost_ms(threads=threads) < large.cost_ms(threads=threads)


def in_a_graph(shape: tuple[int, ...], *parts: Backbone) -> bytes:
    graph = Graph()
    image = graph.input("image", np.float32, shape)
    for index, part in enumerate(parts):
        for place, actual in enumerate(part.maps(image)):
            graph.output(f"found_{index}_{place}", actual)
    return graph.finish()


def bilinear(image: FloatArray, side: int) -> FloatArray:
    """To a square, centres of pixels on centres, written out."""

    def weights(length: int) -> FloatArray:
        at = ((np.arange(side) + 0.5) * length / side - 0.5).clip(0, length - 1)
        return np.asarray(np.maximum(0, 1 - np.abs(at[:, None] - np.arange(length))), np.float32)

    return np.asarray(weights(image.shape[2]) @ image @ weights(image.shape[3]).T, np.float32)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 96)])
def test_spliced_in_it_gives_what_it_gives_alone(height: int, width: int) -> None:
    data, both = feature_onnx(64), images(2, 3, height, width)
    graph = in_a_graph(both.shape, ImportedBackbone.from_bytes(data))
    actual, alone = Session(graph, threads=1)(image=both), Session(data, threads=1)
    for place in range(2):
        expected = alone(image=bilinear(both[place : place + 1], 64) / 255)
        for ours, theirs in zip(actual.values(), expected.values(), strict=True):
            np.testing.assert_allclose(ours[place], theirs[0], rtol=1e-3, atol=1e-4)


def test_splicing_is_the_same_every_time_and_names_keep_apart() -> None:
    first, second = (ImportedBackbone.from_bytes(feature_onnx(side)) for side in (64, 96))
    image = images(1, 3, 80, 80)
    data = in_a_graph(image.shape, first, second)
    assert data == in_a_graph(image.shape, first, second)
    both = Session(data, threads=1)(image=image)
    for index, each in enumerate((first, second)):
        alone = Session(in_a_graph(image.shape, each), threads=1)(image=image)
        for place in range(2):
            actual, expected = both[f"found_{index}_{place}"], alone[f"found_0_{place}"]
            np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5)


def run(backbone: Backbone) -> FloatArray:
    image = images(1, 3, 64, 64)
    return Session(in_a_graph(image.shape, backbone), threads=1)(image=image)["found_0_1"]


@pytest.mark.parametrize("opset", [12, 18, 22])
def test_other_opsets_are_brought_to_ours(opset: int) -> None:
    backbone, expected = (ImportedBackbone.from_bytes(feature_onnx(64, opset=each)) for each in (opset, 18))
    np.testing.assert_allclose(run(backbone), run(expected), rtol=1e-4, atol=1e-5)


def test_local_functions_are_written_out() -> None:
    body = [helper.make_node("Add", ["x", "x"], ["twice"]), helper.make_node("Relu", ["twice"], ["y"])]
    function = helper.make_function("own", "Double", ["x"], ["y"], body, [helper.make_opsetid("", 18)])
    model = feature_model()
    model.graph.node[-1].CopyFrom(helper.make_node("Double", [model.graph.node[-1].input[0]], ["layer2"], domain="own"))
    model.functions.append(function)
    model.opset_import.append(helper.make_opsetid("own", 1))
    backbone, single = (
        ImportedBackbone.from_bytes(data) for data in (bytes(model.SerializeToString()), feature_onnx())
    )
    np.testing.assert_allclose(run(backbone), 2 * run(single), rtol=1e-4, atol=1e-5)


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
        (two_inputs(), r"2 inputs \(image, sensitivity\); one is expected"),
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
        ImportedBackbone.from_bytes(data)


def test_a_backbone_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_BACKBONE_BYTES", 1000)
    with pytest.raises(BackboneError, match="at most 1,000 are accepted"):
        ImportedBackbone.from_bytes(feature_onnx())
