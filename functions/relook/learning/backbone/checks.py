"""Whether somebody's ONNX file is a backbone: its format, its operators, what goes in and what comes out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import onnx
import onnx.inliner
from onnx import ModelProto, TensorProto, ValueInfoProto

from relook.errors import BackboneError
from relook.learning.graph.builder import OPSET
from relook.learning.graph.reading import image_input, read_onnx

MAX_BACKBONE_BYTES = 200 * 1024 * 1024  # of float32 weights: WideResNet-50 to its third stage has 100 MB
MAX_CHANNELS = 2048  # as ResNet-50's last stage has; a covariance grows with their square


class Checked(NamedTuple):
    """A model's bytes at our opset, the side of its image in px, and (channels, height, width) of its maps."""

    model: bytes
    side: int
    map_shapes: tuple[tuple[int, int, int], ...]


def read_model(data: bytes) -> Checked:
    """
    Raises:
        BackboneError: this is no backbone; says what was found and what is expected.
    """
    model = _at_our_opset(read_onnx(data, "backbone", BackboneError, max_bytes=MAX_BACKBONE_BYTES))
    foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
    if foreign:
        raise BackboneError(f"The backbone has operators of {', '.join(foreign)}; only standard ONNX ones are run")
    image = image_input(model, "backbone", BackboneError)
    _refuse_other_types((image, *model.graph.output))
    side, map_shapes = _side(image), tuple(_map_shape(value) for value in model.graph.output)
    channels = sum(shape[0] for shape in map_shapes)
    if not 1 <= channels <= MAX_CHANNELS:
        raise BackboneError(f"The backbone gives {channels} channels; 1 to {MAX_CHANNELS} are expected")
    return Checked(bytes(model.SerializeToString(deterministic=True)), side, map_shapes)


def _at_our_opset(model: ModelProto) -> ModelProto:
    """The model without local functions, all shapes inferred.

    Raises:
        BackboneError: it is incomplete, or not to be brought to our opset.
    """
    try:
        onnx.checker.check_model(model)
        model = onnx.inliner.inline_local_functions(model)
    except Exception as error:  # onnx's errors share no base but Exception
        raise BackboneError(f"The backbone is not an ONNX file this Relook can use: {error}") from error
    opset = next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)
    try:
        if opset != OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        return onnx.shape_inference.infer_shapes(model)
    except Exception as error:
        message = f"The backbone is of opset {opset}, which does not convert to {OPSET}; export it with opset {OPSET}"
        raise BackboneError(f"{message} ({error})") from error


def _side(image: ValueInfoProto) -> int:
    shape = _shape(image)
    if len(shape) != 4 or shape[:2] != (1, 3) or shape[2] != shape[3] or not 32 <= shape[2] <= 1024:
        raise BackboneError(
            f"The backbone takes {image.name} of shape {_written(shape)}; (1, 3, side, side) is expected, "
            "with a side of 32 to 1024 and no dynamic axes"
        )
    return shape[2]


def _map_shape(value: ValueInfoProto) -> tuple[int, int, int]:
    shape = _shape(value)
    if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
        raise BackboneError(
            f"The backbone gives {value.name} of shape {_written(shape)}; "
            "maps (1, channels, height, width) are expected"
        )
    return shape[1], shape[2], shape[3]


def _refuse_other_types(values: Iterable[ValueInfoProto]) -> None:
    for value in values:
        kind = value.type.tensor_type.elem_type
        if kind != TensorProto.FLOAT:
            element_type = TensorProto.DataType.Name(kind).lower()
            raise BackboneError(
                f"The backbone has {value.name} as {element_type}; float (32 bits, RGB 0..1) is expected"
            )


def _shape(value: ValueInfoProto) -> tuple[int, ...]:
    """-1 where it is not fixed."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(size.dim_value if size.HasField("dim_value") else -1 for size in dimensions)


def _written(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("?" if size < 0 else str(size) for size in shape) + ")"
