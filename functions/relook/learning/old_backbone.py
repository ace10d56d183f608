"""Backbones: feature ONNX files, ours or one that a user brings, as part of the engine's graph.

A feature ONNX takes `image`, (1, 3, side, side) float32 RGB 0..1 (any normalisation is part of it), and gives one or
more maps (1, channels, height, width) float32, finest first. Ours, `backbone.onnx`, is trained by `backbone/` from
generated pictures alone.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.package import BackboneIdentity
from relook.detection.session import Session
from relook.errors import BackboneError, PackageError
from relook.learning.estimators.features import INPUT_SIDE_PX
from relook.learning.old_graph import OPSET, GraphBuilder, Tensor

MAX_BACKBONE_BYTES = 200 * 1024 * 1024
MAX_CHANNELS = 2048
OURS = Path(__file__).with_name("backbone.onnx")


@dataclass(frozen=True)
class Backbone:
    """A checked feature ONNX.

    Attributes:
        model: its bytes, at the opset of our graphs.
        side: of the square image it takes, px.
        maps: (channels, height, width) of each map it gives.
        sha256: of the file as it was given.
    """

    model: bytes
    side: int
    maps: tuple[tuple[int, int, int], ...]
    sha256: str

    @classmethod
    def from_bytes(cls, data: bytes) -> Backbone:
        """Check a feature ONNX.

        Raises:
            BackboneError: not ONNX, not shaped as this module says, or it does not run; names what was found.
        """
        if len(data) > MAX_BACKBONE_BYTES:
            raise BackboneError(f"The backbone has {len(data):,} bytes; at most {MAX_BACKBONE_BYTES:,} are accepted")
        model = _at_our_opset(data)
        foreign = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx"})
        if foreign:
            raise BackboneError(f"The backbone has operators of {', '.join(foreign)}; only standard ONNX ones are run")
        stored = {constant.name for constant in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in stored]
        if len(inputs) != 1:
            raise BackboneError(f"The backbone takes {len(inputs)} inputs; one is expected, an image")
        _refuse_other_types((*inputs, *model.graph.output))
        image = _shape(inputs[0])
        if len(image) != 4 or image[:2] != (1, 3) or image[2] != image[3] or not 32 <= image[2] <= 1024:
            raise BackboneError(
                f"The backbone takes {inputs[0].name} of shape {_written(image)}; (1, 3, side, side) is expected, "
                "with a side of 32 to 1024 and no dynamic axes"
            )
        maps = tuple(_shape(value) for value in model.graph.output)
        for value, shape in zip(model.graph.output, maps, strict=True):
            if len(shape) != 4 or shape[0] != 1 or min(shape) < 1:
                raise BackboneError(
                    f"The backbone gives {value.name} of shape {_written(shape)}; "
                    "maps (1, channels, height, width) are expected"
                )
        if not maps or sum(shape[1] for shape in maps) > MAX_CHANNELS:
            raise BackboneError(
                f"The backbone gives {sum(shape[1] for shape in maps)} channels; 1 to {MAX_CHANNELS} are expected"
            )
        backbone = cls(
            model=bytes(model.SerializeToString(deterministic=True)),
            side=image[2],
            maps=tuple((shape[1], shape[2], shape[3]) for shape in maps),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        backbone._refuse_bad_numbers()
        return backbone

    @property
    def channels(self) -> int:
        """Of all maps together."""
        return sum(channels for channels, _, _ in self.maps)

    @property
    def identity(self) -> BackboneIdentity:
        """For the manifest of a model that sees with it."""
        return BackboneIdentity("relook" if self.sha256 == our_backbone().sha256 else "own", self.sha256)

    def nodes(self, graph: GraphBuilder, image: Tensor, grid: int) -> Tensor:
        """Nodes from (1, 3, 256, 256) RGB 0..1 to (1, channels, grid, grid), each map averaged over 3 x 3 first."""
        if self.side != INPUT_SIDE_PX:
            image = graph.resize(image, 3, self.side, self.side)
        parts = []
        for found, (channels, height, width) in zip(graph.splice(self.model, image), self.maps, strict=True):
            smooth = graph.mean_filter(found, 3)
            if height == width and (height % grid == 0 or height < grid):
                parts.append(graph.to_grid(smooth, channels, height, grid))
            else:
                parts.append(graph.resize(smooth, channels, grid, grid))
        return graph.node("Concat", *parts, axis=1)

    def cost_ms(self, *, threads: int) -> float:
        """What one forward pass takes on this machine: the median of seven, after one that warms up."""
        session, image = self._session(threads), self._noise()
        times = []
        for _ in range(8):
            started = time.perf_counter()
            session(image=image)
            times.append(time.perf_counter() - started)
        return 1000 * float(np.median(times[1:]))

    def _refuse_bad_numbers(self) -> None:
        """Run it as our graphs will, on a black image, where a division by contrast would show, and on noise."""
        session, noise = self._session(threads=2), self._noise()
        for name, image in (("a black image", np.zeros_like(noise)), ("noise", noise)):
            try:
                found = session(image=image)
            except Exception as error:  # onnxruntime's errors share no base but Exception
                raise BackboneError(f"The backbone does not run: {error}") from error
            for values, shape in zip(found.values(), self.maps, strict=True):
                if values.shape != (1, *shape):
                    raise BackboneError(f"The backbone says it gives {(1, *shape)} and gives {values.shape}")
                if not np.isfinite(values).all():
                    raise BackboneError(f"The backbone gives NaN or infinity for {name}; finite maps are expected")

    def _noise(self) -> FloatArray:
        return np.random.default_rng(0).random((1, 3, self.side, self.side), np.float32)

    def _session(self, threads: int) -> Session:
        graph = GraphBuilder()
        image = graph.input("image", np.float32, (1, 3, self.side, self.side))
        for index, (found, shape) in enumerate(zip(graph.splice(self.model, image), self.maps, strict=True)):
            graph.output(f"map_{index}", found, (1, *shape))
        try:
            return Session(graph.finish(), threads=threads)
        except PackageError as error:
            raise BackboneError(f"The backbone cannot be part of a graph: {error}") from error


@cache
def our_backbone() -> Backbone:
    """The one that ships."""
    return Backbone.from_bytes(OURS.read_bytes())


def _at_our_opset(data: bytes) -> Any:
    """The parsed model without local functions, all shapes inferred.

    Raises:
        BackboneError: not ONNX, incomplete, or not to be brought to our opset.
    """
    import onnx.inliner  # training only

    try:
        model = onnx.load_from_string(data)
    except Exception as error:  # protobuf's errors share no base but Exception
        raise BackboneError(f"The backbone is not an ONNX file: {error}") from error
    if any(onnx.external_data_helper.uses_external_data(constant) for constant in model.graph.initializer):
        raise BackboneError("The backbone keeps its weights in another file; save it as one file, weights inside")
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


def _refuse_other_types(values: Iterable[Any]) -> None:
    from onnx import TensorProto

    for value in values:
        kind = value.type.tensor_type.elem_type
        if kind != TensorProto.FLOAT:
            found = TensorProto.DataType.Name(kind).lower()
            raise BackboneError(f"The backbone has {value.name} as {found}; float (32 bits, RGB 0..1) is expected")


def _shape(value: Any) -> tuple[int, ...]:
    """Of an ONNX value; -1 where it is not fixed."""
    dimensions = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else -1 for d in dimensions)


def _written(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("?" if size < 0 else str(size) for size in shape) + ")"
