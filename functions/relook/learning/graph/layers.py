"""What graphs compute and numpy has no function for. Images and maps are (n, channels, height, width) float32."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index
from numpy.typing import NDArray

from relook.learning.graph.builder import Graph
from relook.learning.graph.tensor import Tensor

Size: TypeAlias = int | tuple[int, int]
"""(height, width), or both."""
Pads: TypeAlias = tuple[int, int, int, int]
"""Cells above, to the left, below, to the right."""

NO_PADS: Pads = (0, 0, 0, 0)  # none on any side


def convolve(
    x: Tensor,
    kernel: NDArray[np.floating] | Tensor,
    bias: NDArray[np.floating] | Tensor | None = None,
    *,
    stride: Size = 1,
    pads: Pads | Literal["same"] = NO_PADS,
    group: int = 1,
) -> Tensor:
    """As neural networks do: the kernel is not turned.

    Args:
        kernel: (out, in / group, height, width).
        bias: (out,).
        pads: zeros; `same` is TensorFlow's rule, one cell for every step, what cannot be halved below and to the right.
    """
    graph, strides = x.graph, _pair(stride)
    size = (kernel.shape[2], kernel.shape[3])
    around = _same(x.shape[2:], size, strides) if pads == "same" else pads
    weights = [
        each if isinstance(each, Tensor) else graph.constant(each) for each in (kernel, bias) if each is not None
    ]
    shape = (x.shape[0], kernel.shape[0], *_steps(x.shape[2:], size, strides, around))
    return graph.node("Conv", x, *weights, strides=strides, pads=around, group=group, shape=shape)


def quantised(x: Tensor, scale: float, zero: int) -> Tensor:
    """Rounded to (0..255 - zero) * scale, and cut off beyond; onnxruntime then computes with the bytes themselves."""
    kept = [x.graph.constant(scale), x.graph.constant(np.array(zero, np.uint8))]
    stored = x.graph.node("QuantizeLinear", x, *kept, shape=x.shape, dtype=np.uint8)
    return x.graph.node("DequantizeLinear", stored, *kept, shape=x.shape, dtype=np.float32)


def dequantised(graph: Graph, values: NDArray[np.integer], scales: NDArray[np.floating]) -> Tensor:
    """int8 or int32 values, stored as they are, times one scale for each place of the first axis."""
    stored, kept = graph.constant(values), graph.constant(scales)
    return graph.node("DequantizeLinear", stored, kept, axis=0, shape=values.shape, dtype=np.float32)


def average_pool(x: Tensor, size: Size, *, stride: Size | None = None, pads: Pads = NO_PADS) -> Tensor:
    """Means over windows, side by side unless there is a stride; pads do not count."""
    return _pool(x, "AveragePool", size, stride, pads)


def max_pool(x: Tensor, size: Size, *, stride: Size | None = None, pads: Pads = NO_PADS) -> Tensor:
    """Maxima over windows, side by side unless there is a stride; pads do not count."""
    return _pool(x, "MaxPool", size, stride, pads)


def mean_filter(x: Tensor, size: int) -> Tensor:
    """Mean over an odd window; at the edges over the part of it that lies inside."""
    margin = size // 2
    return average_pool(x, size, stride=1, pads=(margin, margin, margin, margin))


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """To any size, pixels being areas (half-pixel centres). Downwards it samples: `average_pool` where that matters."""
    shape = (*x.shape[:2], height, width)
    if shape == x.shape:
        return x
    sizes = x.graph.constant(np.array(shape, np.int64))
    return x.graph.node(
        "Resize", x, None, None, sizes, mode="linear", coordinate_transformation_mode="half_pixel", shape=shape
    )


def softmax(x: Tensor, axis: int) -> Tensor:
    """Shares that sum to one along the axis."""
    return x.graph.node("Softmax", x, axis=normalize_axis_index(axis, x.ndim), shape=x.shape)


def _pool(x: Tensor, op: str, size: Size, stride: Size | None, pads: Pads) -> Tensor:
    window = _pair(size)
    strides = window if stride is None else _pair(stride)
    shape = (*x.shape[:2], *_steps(x.shape[2:], window, strides, pads))
    return x.graph.node(op, x, kernel_shape=window, strides=strides, pads=pads, shape=shape)


def _pair(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _steps(sizes: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int], pads: Pads) -> tuple[int, ...]:
    """How many windows fit, in height and width."""
    return tuple((sizes[i] + pads[i] + pads[i + 2] - window[i]) // strides[i] + 1 for i in (0, 1))


def _same(sizes: tuple[int, ...], window: tuple[int, int], strides: tuple[int, int]) -> Pads:
    """https://www.tensorflow.org/api_docs/python/tf/nn, "Notes on padding"."""
    totals = [max((-(-sizes[i] // strides[i]) - 1) * strides[i] + window[i] - sizes[i], 0) for i in (0, 1)]
    before = [total // 2 for total in totals]
    return before[0], before[1], totals[0] - before[0], totals[1] - before[1]
