"""EfficientNet-Lite0, trained by Google on ImageNet, as nodes of our graphs.

Lite is EfficientNet for plain processors: ReLU6 for swish, no squeeze-and-excitation. Of its 16 blocks the first 11 are
here; those behind them know what kind of thing is shown, not what it looks like in one place.
Sources: Tan and Le, "EfficientNet" (2019), table 1; tensorflow/tpu, models/official/efficientnet/lite, for the input,
the padding and epsilon. NOTICE says whose the weights are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.package import BackboneIdentity
from relook.learning.backbone.weights import SHA256, installed_weights
from relook.learning.graph.layers import convolve, dequantised, quantised
from relook.learning.graph.tensor import Tensor

CHANNELS = {2: 16, 4: 24, 8: 40, 16: 112}
"""Pixels a cell -> channels, of the maps that can be asked for."""
MEASURED_STRIDES = (4, 8, 16)
"""A map at stride 2 beside them, or others than the last of each stride, gained nothing."""

_LAST_BLOCK = {2: 0, 4: 2, 8: 4, 16: 10}  # of each stride, counted from 0: the deepest features there
_BLOCK_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)  # behind a stem of stride 2; the weights' shapes say all the rest
_EPSILON = 1e-3  # of batch normalisation, as the weights were trained
_RELU6 = 6 / 255  # a byte's step
_WEIGHT_LEVELS = 63  # either way: processors without VNNI add two products in 16 bits, which 127 would overflow
_REACH = (34.0, 44.0, 50.0, 42.0, 46.0, 32.0, 33.0, 33.0, 34.0, 34.0, 36.0)
"""Of the blocks' outputs: 1 in 10,000 of nine real sets is larger, and is cut off."""
_ZERO, _UNIT = 127.0, 128.0  # the network takes (byte - 127) / 128


@dataclass(frozen=True, eq=False)
class EfficientNetLite0:
    """Cut off behind the coarsest map that is asked for. To stride 16, 256 x 256 pixels take some 10 ms on one thread.

    Attributes:
        weights: by their names in the file.
        strides: of the maps, pixels a cell: some of CHANNELS, the finest first.
        is_quantised: to bytes, as Lite was made for.
    """

    weights: Mapping[str, FloatArray]
    strides: tuple[int, ...]
    is_quantised: bool = True

    def __post_init__(self) -> None:
        if not self.strides or list(self.strides) != sorted(set(self.strides) & set(CHANNELS)):
            raise ValueError(f"Strides {self.strides} are not some of {tuple(CHANNELS)}, the finest first")

    @property
    def identity(self) -> BackboneIdentity:
        """The SHA-256 is that of the file of weights."""
        return BackboneIdentity("efficientnet-lite0", SHA256)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each map, the finest first."""
        return tuple(CHANNELS[stride] for stride in self.strides)

    def maps(self, image: Tensor) -> list[Tensor]:
        """(n, 3, height, width) float32 RGB 0..255 to (n, channels, height / stride, width / stride), rounded up.

        Multiples of 16 pixels make every cell the same distance from the next one at all strides.
        """
        taps = {_LAST_BLOCK[stride]: stride for stride in self.strides}
        x = self._rounded((image - _ZERO) / _UNIT, 1 / _UNIT, int(_ZERO))
        x = self._relu6(self._convolve(x, "_conv_stem", "_bn0", 1 / _UNIT, stride=2))
        scale, taken = _RELU6, []
        for index in range(max(taps) + 1):
            x, scale = self._block(x, scale, index)
            if index in taps:
                taken.append(x)
        return taken

    def _block(self, x: Tensor, scale: float, index: int) -> tuple[Tensor, float]:
        """An inverted residual: wide, filtered channel by channel, narrow again without a non-linearity."""
        name, wide, wide_scale = f"_blocks.{index}", x, scale
        if f"{name}._expand_conv.weight" in self.weights:
            wide = self._relu6(self._convolve(x, f"{name}._expand_conv", f"{name}._bn0", scale))
            wide_scale = _RELU6
        stride = _BLOCK_STRIDES[index]
        filtered = self._relu6(
            self._convolve(wide, f"{name}._depthwise_conv", f"{name}._bn1", wide_scale, stride=stride)
        )
        own = _REACH[index] / 127
        narrow = self._rounded(self._convolve(filtered, f"{name}._project_conv", f"{name}._bn2", _RELU6), own, 128)
        if narrow.shape == x.shape:
            narrow = self._rounded(narrow + x, own, 128)
        return narrow, own

    def _rounded(self, x: Tensor, scale: float, zero: int) -> Tensor:
        return quantised(x, scale, zero) if self.is_quantised else x

    def _relu6(self, x: Tensor) -> Tensor:
        """What a byte cannot hold is what ReLU6 cuts off."""
        return quantised(x, _RELU6, 0) if self.is_quantised else x.clip(0, 6)

    def _convolve(self, x: Tensor, layer: str, norm: str, scale: float, *, stride: int = 1) -> Tensor:
        """A convolution of values that are multiples of `scale`, its batch normalisation folded into it."""
        gain, bias, mean, variance = (
            self.weights[f"{norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + _EPSILON)
        kernel = self.weights[f"{layer}.weight"]
        group = x.shape[1] // kernel.shape[1]
        folded, offset = kernel * gain[:, None, None, None], bias - mean * gain
        if not self.is_quantised:
            return convolve(x, folded, offset, stride=stride, pads="same", group=group)
        step = np.abs(folded).reshape(len(folded), -1).max(axis=1) / _WEIGHT_LEVELS
        step = np.maximum(step, np.abs(offset) / scale * 2.0**-24 + 1e-12)  # of dead channels the offset is left
        levels = np.rint(folded / step[:, None, None, None]).astype(np.int8)
        steps = np.rint(offset / (step * scale)).astype(np.int32)
        return convolve(
            x,
            dequantised(x.graph, levels, step),
            dequantised(x.graph, steps, step * scale),
            stride=stride,
            pads="same",
            group=group,
        )


@cache
def pretrained(strides: tuple[int, ...] = MEASURED_STRIDES) -> EfficientNetLite0:
    """
    Raises:
        BackboneError: the weights are not installed, or are not the ones we mean.
    """
    return EfficientNetLite0(installed_weights(), strides)
