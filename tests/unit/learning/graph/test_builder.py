"""What a graph's bytes hold, and that a foreign model becomes part of one."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from numpy.typing import ArrayLike
from onnx import TensorProto, helper

from relook.detection.session import Session
from relook.learning.graph.builder import Graph
from relook.learning.graph.tensor import Tensor
from relook.learning.graph.xp import xp
from tests.unit.foreign import FLOAT, Sketch, feature_onnx


def written(graph: Graph) -> onnx.GraphProto:
    model = onnx.load_from_string(graph.finish())
    onnx.checker.check_model(model, full_check=True)
    return model.graph


def test_the_same_calls_give_the_same_bytes_of_a_fixed_version() -> None:
    def build() -> bytes:
        graph = Graph()
        x = graph.input("x", np.float32, (2, 3))
        graph.output("y", xp.exp(x) @ np.arange(6).reshape(3, 2) + 0.5)
        return graph.finish()

    assert build() == build()
    model = onnx.load_from_string(build())
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (10, 18, "relook")


def test_what_is_written_twice_is_computed_once() -> None:
    graph = Graph()
    x = graph.input("x", np.float32, (3,))
    graph.output("twice", xp.exp(x * 2) + xp.exp(x * np.float32(2)) + xp.exp(x * 3))
    graph.output("again", xp.exp(x * 2))
    assert [node.op_type for node in written(graph).node] == [
        "Mul",
        "Exp",
        "Add",
        "Mul",
        "Exp",
        "Add",
        "Identity",
        "Identity",
    ]


def test_half_of_the_bytes_where_half_of_the_digits_do() -> None:
    weights = np.random.default_rng(0).normal(size=(64, 64))
    data, actual = [], []
    for kind in (np.float64, np.float16):
        graph = Graph()
        graph.output("y", graph.input("x", np.float32, (1, 64)) @ weights.astype(kind))
        data.append(graph.finish())
        actual.append(Session(data[-1], threads=1)(x=np.ones((1, 64), np.float32))["y"])
    assert len(data[1]) < 0.55 * len(data[0])
    np.testing.assert_allclose(
        actual[1], weights.astype(np.float16).astype(np.float32).sum(0)[None], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1.5, TensorProto.FLOAT),
        (np.zeros((2, 0)), TensorProto.FLOAT),
        (7, TensorProto.INT64),
        (np.arange(3, dtype=np.uint8), TensorProto.UINT8),
        (np.arange(3, dtype=np.int8), TensorProto.INT8),
        (np.arange(3, dtype=np.int32), TensorProto.INT32),
        (np.arange(3, dtype=np.int16), TensorProto.INT64),
        ([True, False], TensorProto.BOOL),
        (np.ones((2, 3)).T, TensorProto.FLOAT),
    ],
)
def test_constants(value: ArrayLike, kind: int) -> None:
    graph = Graph()
    actual = graph.constant(value)
    graph.output("y", actual)
    (stored,) = written(graph).initializer
    assert (stored.data_type, tuple(stored.dims)) == (kind, np.shape(value))
    assert actual.shape == np.shape(value)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(stored), value)


def branching(side: int) -> bytes:
    """A model with graphs inside a node that use what is around them."""
    sketch = Sketch()
    scale = sketch.constant([2.0])
    halves = [
        helper.make_graph(
            [helper.make_node(op, ["image", scale], [f"{op}_inside"])],
            op,
            [],
            [helper.make_tensor_value_info(f"{op}_inside", FLOAT, (1, 3, side, side))],
        )
        for op in ("Mul", "Div")
    ]
    bright = sketch.add("Greater", sketch.add("ReduceMean", "image", keepdims=0), sketch.constant(0.0))
    sketch.add("If", bright, output="map", then_branch=halves[0], else_branch=halves[1])
    shape = (FLOAT, (1, 3, side, side))
    return bytes(sketch.model({"image": shape}, {"map": shape}).SerializeToString())


def test_a_batch_is_spliced_image_by_image_and_weights_are_stored_once() -> None:
    data, images = feature_onnx(64), np.random.default_rng(1).random((3, 3, 64, 64), np.float32)
    graph = Graph()
    actual = graph.splice(data, graph.input("images", np.float32, images.shape))
    assert [each.shape for each in actual] == [(3, 8, 16, 16), (3, 12, 8, 8)]
    for name, each in zip(("layer1", "layer2"), actual, strict=True):
        graph.output(name, each)
    ours, alone = Session(graph.finish(), threads=1)(images=images), Session(data, threads=1)
    for place in range(3):
        for name, values in alone(image=images[place : place + 1]).items():
            np.testing.assert_allclose(ours[name][place], values[0], rtol=1e-4, atol=1e-5)
    weights = [each for each in written(graph).initializer if each.name.startswith("weights_")]
    assert len(weights) == len(onnx.load_from_string(data).graph.initializer)


def test_splicing_keeps_names_apart_even_inside_of_nodes() -> None:
    graph = Graph()
    x = graph.input("image", np.float32, (1, 3, 8, 8))
    (bright,), (dark,), (again,) = (graph.splice(branching(8), value) for value in (x, -x, x))
    assert again is bright
    graph.output("map", bright)
    graph.output("dark", dark)
    image = np.random.default_rng(2).random((1, 3, 8, 8), np.float32)
    actual = Session(graph.finish(), threads=1)(image=image)
    np.testing.assert_allclose(actual["map"], 2 * image, rtol=1e-6)
    np.testing.assert_allclose(actual["dark"], -image / 2, rtol=1e-6)


def test_any_operator_of_onnx_by_its_name() -> None:
    graph = Graph()
    x = graph.input("x", np.float32, (4, 6))
    left, right = graph.nodes("Split", x, graph.constant([2, 4]), axis=1, shapes=[(4, 2), (4, 4)])
    lonely: Tensor = graph.node("HardSigmoid", right, alpha=0.5, shape=right.shape)
    graph.output("left", left)
    graph.output("lonely", lonely)
    values = np.linspace(-2, 2, 24, dtype=np.float32).reshape(4, 6)
    actual = Session(graph.finish(), threads=1)(x=values)
    np.testing.assert_array_equal(actual["left"], values[:, :2])
    np.testing.assert_allclose(actual["lonely"], np.clip(values[:, 2:] / 2 + 0.5, 0, 1), atol=1e-6)
