"""What a backbone is to the engine."""

from __future__ import annotations

from typing import Protocol

from relook.detection.package import BackboneIdentity
from relook.learning.graph.tensor import Tensor


class Backbone(Protocol):
    """A network that makes maps of features out of an image.

    Attributes:
        identity: for the manifest of a model that sees with it.
        channels: of each map, the finest first.
    """

    @property
    def identity(self) -> BackboneIdentity:
        """What tells it from others."""

    @property
    def channels(self) -> tuple[int, ...]:
        """A number a map."""

    def maps(self, image: Tensor) -> list[Tensor]:
        """Write it into the image's graph.

        Args:
            image: (n, 3, height, width) float32 RGB, 0..255.
        Returns:
            (n, channels, height, width) float32 each, the finest first.
        """
        ...
