"""ONNX files that others made, written by hand with random weights: feature networks, and exports of anomalib."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, external_data_helper, helper, numpy_helper

from relook.learning.backbone.imported import ImportedBackbone

FLOAT, UINT8 = int(TensorProto.FLOAT), int(TensorProto.UINT8)
Shape = tuple[int | str | None, ...]


class Sketch:
    """Nodes and weights of a graph in the making."""

    def __init__(self, seed: int = 0) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self._random = np.random.default_rng(seed)

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, values: Any, kind: type[np.generic] = np.float32) -> str:
        name = f"weight_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def convolution(self, x: str, inputs: int, outputs: int, size: int = 3, stride: int = 1) -> str:
        """With random weights that keep the values' size."""
        kernel = self._random.normal(0, (2 / (inputs * size * size)) ** 0.5, (outputs, inputs, size, size))
        return self.add(
            "Conv",
            x,
            self.constant(kernel),
            self.constant(np.zeros(outputs)),
            strides=[stride] * 2,
            pads=[size // 2] * 4,
        )

    def normalize(self, x: str) -> str:
        """ImageNet's colours to zero mean and unit spread."""
        mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        x = self.add("Sub", x, self.constant(mean[:, None, None]))
        return self.add("Div", x, self.constant(spread[:, None, None]))

    def model(
        self,
        inputs: Mapping[str, tuple[int, Shape]],
        outputs: Mapping[str, tuple[int, Shape]],
        opset: int = 18,
    ) -> ModelProto:
        taken, given = (
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in values.items()]
            for values in (inputs, outputs)
        )
        graph = helper.make_graph(self.nodes, "foreign", taken, given, self.weights)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", opset)],
            producer_name="pytorch",
        )
        model.ir_version = 8
        return model


def feature_model(
    side: int = 64,
    *,
    widths: tuple[int, int] = (8, 12),
    opset: int = 18,
    input_shape: Shape | None = None,
    input_type: int = FLOAT,
    last: str = "Relu",
) -> ModelProto:
    """A little residual network: maps at strides 4 and 8, the second one behind the operator `last`."""
    sketch = Sketch()
    fine, coarse = widths
    x = sketch.add("Cast", "image", to=FLOAT)
    x = sketch.add("Relu", sketch.convolution(sketch.normalize(x), 3, fine, size=7, stride=2))
    x = sketch.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    branch = sketch.convolution(sketch.add("Relu", sketch.convolution(x, fine, fine)), fine, fine)
    x = sketch.add("Relu", sketch.add("Add", x, branch), output="layer1")
    sketch.add(last, sketch.convolution(x, fine, coarse, stride=2), output="layer2")
    return sketch.model(
        {"image": (input_type, input_shape or (1, 3, side, side))},
        {
            "layer1": (FLOAT, (1, fine, side // 4, side // 4)),
            "layer2": (FLOAT, (1, coarse, side // 8, side // 8)),
        },
        opset,
    )


def feature_onnx(side: int = 64, **options: Any) -> bytes:
    """The same as a file."""
    return bytes(feature_model(side, **options).SerializeToString())


@cache
def quick_backbone() -> ImportedBackbone:
    """Enough for pictures as plain as those of the tests, in a third of the time ours takes to train with."""
    return ImportedBackbone.from_bytes(feature_onnx(64))


# The network below scores the parts of `parts.py` about 0.8, scratched ones about 4.5
THRESHOLD, LOW, HIGH = 2.5, 0.0, 8.0


def anomalib_model(
    *,
    major: int = 2,
    batch: int | str = "batch_size",
    size: tuple[int, int] | None = (64, 80),
    has_map: bool = True,
    is_normalized: bool = True,
    opset: int = 14,
) -> ModelProto:
    """What `engine.export(model, ExportType.ONNX)` writes: inputs, outputs, types and shapes are those of real exports.

    Args:
        major: of anomalib.
        batch: open, or the 2 that anomalib 2.7 fixes for some models.
        size: None leaves height and width open; the pre-processing inside then resizes to 64 x 80.
        has_map: False as for Ganomaly and Dfkde.
    """
    sketch = Sketch(seed=1)
    x = sketch.add(
        "Resize", "input", "", "", sketch.add("Concat", _batch_size(sketch), _sides(sketch), axis=0), mode="linear"
    )
    x = sketch.convolution(sketch.normalize(x), 3, 6, size=5, stride=4)
    x = sketch.add("Mul", x, x)
    x = (
        sketch.add("ReduceMean", x, axes=[1], keepdims=1)
        if opset < 18
        else sketch.add("ReduceMean", x, sketch.constant([1], np.int64))
    )
    raw_map = sketch.add(
        "Resize", x, "", sketch.constant([1, 1, 4, 4]), mode="linear", output=None if major > 1 else "output"
    )
    tall = sketch.add("GlobalMaxPool", x)
    raw_score = sketch.add("Reshape", tall, sketch.constant([-1, 1], np.int64), output=None if major > 1 else "361")
    n = batch
    entry = {"input": (FLOAT, (n, 3, *(size or ("height", "width"))))}
    if major == 1:
        shapes: dict[str, tuple[int, Shape]] = {"output": (FLOAT, (n, 1, None, None)), "361": (FLOAT, (n, 1))}
        return sketch.model(entry, shapes if has_map else {"361": shapes["361"]}, opset)
    normalized = [
        _normalized(sketch, raw, name) if is_normalized else sketch.add("Identity", raw, output=name)
        for raw, name in ((raw_score, "pred_score"), (raw_map, "anomaly_map"))
    ]
    for value, name in zip(normalized, ("pred_label", "pred_mask"), strict=True):
        sketch.add("Greater", value, sketch.constant(0.5), output=name)
    flat, tall_shape = (n, 1), (n, 1, 64, 80)
    outputs = {
        "pred_score": (FLOAT, flat),
        "pred_label": (int(TensorProto.BOOL), flat),
        "anomaly_map": (FLOAT, tall_shape),
        "pred_mask": (int(TensorProto.BOOL), tall_shape),
    }
    kept = outputs if has_map else {name: outputs[name] for name in ("pred_score", "pred_label")}
    return sketch.model(entry, kept, opset)


def anomalib_onnx(**options: Any) -> bytes:
    """The same as a file."""
    return bytes(anomalib_model(**options).SerializeToString())


def anomalib_metadata(**changes: Any) -> bytes:
    """`metadata.json` as anomalib 1 writes it."""
    fields = {
        "task": "segmentation",
        "image_threshold": THRESHOLD,
        "pixel_threshold": THRESHOLD,
        "pred_scores.min": LOW,
        "pred_scores.max": HIGH,
        "anomaly_maps.min": LOW,
        "anomaly_maps.max": HIGH,
    }
    return json.dumps({name: value for name, value in {**fields, **changes}.items() if value is not None}).encode()


def with_outside_weights(model: ModelProto, file: Path | None = None) -> bytes:
    """As PyTorch's exporter writes models by default: the weights in `model.onnx.data`, or in no file at all."""
    weights = b""
    for constant in model.graph.initializer:
        data = bytes(constant.raw_data)
        external_data_helper.set_external_data(constant, "model.onnx.data", len(weights), len(data))
        constant.ClearField("raw_data")
        weights += data
    if file:
        file.with_name("model.onnx.data").write_bytes(weights)
    return bytes(model.SerializeToString())


def normalized(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """What anomalib makes of raw values."""
    return ((values - THRESHOLD) / (HIGH - LOW) + 0.5).clip(0, 1)


def _normalized(sketch: Sketch, x: str, name: str) -> str:
    x = sketch.add("Div", sketch.add("Sub", x, sketch.constant(THRESHOLD)), sketch.constant(HIGH - LOW))
    return sketch.add(
        "Clip", sketch.add("Add", x, sketch.constant(0.5)), sketch.constant(0), sketch.constant(1), output=name
    )


def _batch_size(sketch: Sketch) -> str:
    return sketch.add("Slice", sketch.add("Shape", "input"), *(sketch.constant([i], np.int64) for i in (0, 1)))


def _sides(sketch: Sketch) -> str:
    return sketch.constant([3, 64, 80], np.int64)
