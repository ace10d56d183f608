"""Somebody's ONNX file, checked as far as every use of one asks for."""

from __future__ import annotations

import onnx
from onnx import ModelProto, ValueInfoProto

from relook.errors import BackboneError, PackageError


def read_onnx(data: bytes, what: str, error: type[BackboneError | PackageError], *, max_bytes: int) -> ModelProto:
    """The model in an ONNX file that has all of its weights inside.

    Args:
        what: the file's role, for messages.
    Raises:
        error: too large, no ONNX, or with weights in another file.
    """
    if len(data) > max_bytes:
        raise error(f"The {what} has {len(data):,} bytes; at most {max_bytes:,} are accepted")
    try:
        model = onnx.load_from_string(data)
    except Exception as cause:  # protobuf's errors share no base but Exception
        raise error(f"The {what} is not an ONNX file: {cause}") from cause
    if any(onnx.external_data_helper.uses_external_data(constant) for constant in model.graph.initializer):
        raise error(f"The {what} keeps its weights in another file; save it as one file, weights inside")
    return model


def image_input(model: ModelProto, what: str, error: type[BackboneError | PackageError]) -> ValueInfoProto:
    """What the model takes, which is one value. Before IR version 4, stored weights are listed as inputs too.

    Raises:
        error: it takes none or several; names them.
    """
    stored = {constant.name for constant in model.graph.initializer}
    inputs: list[ValueInfoProto] = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs)
        raise error(f"The {what} takes {len(inputs)} inputs ({names}); one is expected, an image")
    (image,) = inputs
    return image
