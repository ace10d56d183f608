"""A feature ONNX that a user brings in place of the pretrained network.

It takes one image, (1, 3, side, side) float32 RGB 0..1 (any normalisation is part of it), and gives one or more maps
(1, channels, height, width) float32, the finest first. docs/backbones.md says how to make one.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.package import BackboneIdentity
from relook.detection.session import Session
from relook.errors import BackboneError, PackageError
from relook.learning.backbone.checks import read_model
from relook.learning.graph.builder import Graph
from relook.learning.graph.layers import resize
from relook.learning.graph.tensor import Tensor


@dataclass(frozen=True)
class ImportedBackbone:
    """A checked feature ONNX.

    Attributes:
        model: its bytes, at the opset of our graphs.
        side: of the square image it takes, px.
        map_shapes: (channels, height, width) of each map it gives.
        sha256: of the file as it was given.
    """

    model: bytes
    side: int
    map_shapes: tuple[tuple[int, int, int], ...]
    sha256: str

    @classmethod
    def from_bytes(cls, data: bytes) -> ImportedBackbone:
        """Check a feature ONNX.

        Raises:
            BackboneError: not ONNX, not shaped as this module says, or it does not run; names what was found.
        """
        model, side, map_shapes = read_model(data)
        backbone = cls(model, side, map_shapes, hashlib.sha256(data).hexdigest())
        backbone._refuse_bad_numbers()
        return backbone

    @property
    def identity(self) -> BackboneIdentity:
        """The SHA-256 is that of the file as it was given."""
        return BackboneIdentity("own", self.sha256)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each map, in the file's order."""
        return tuple(channels for channels, _, _ in self.map_shapes)

    def maps(self, image: Tensor) -> list[Tensor]:
        """(n, 3, height, width) float32 RGB 0..255, of any size, to (n, channels, map height, map width) each."""
        return image.graph.splice(self.model, resize(image / 255, self.side, self.side))

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
                outputs = session(image=image)
            except Exception as error:  # onnxruntime's errors share no base but Exception
                raise BackboneError(f"The backbone does not run: {error}") from error
            for values, shape in zip(outputs.values(), self.map_shapes, strict=True):
                if values.shape != (1, *shape):
                    raise BackboneError(f"The backbone says it gives {(1, *shape)} and gives {values.shape}")
                if not np.isfinite(values).all():
                    raise BackboneError(f"The backbone gives NaN or infinity for {name}; finite maps are expected")

    def _noise(self) -> FloatArray:
        return np.random.default_rng(0).random((1, 3, self.side, self.side), np.float32) * 255

    def _session(self, threads: int) -> Session:
        graph = Graph()
        image = graph.input("image", np.float32, (1, 3, self.side, self.side))
        for place, features in enumerate(self.maps(image)):
            graph.output(f"map_{place}", features)
        try:
            return Session(graph.finish(), threads=threads)
        except PackageError as error:
            raise BackboneError(f"The backbone cannot be part of a graph: {error}") from error
