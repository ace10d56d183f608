"""numpy's functions of several arrays, as nodes of a graph; those of one array are methods of Tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

if TYPE_CHECKING:
    from relook.learning.graph.builder import Graph
    from relook.learning.graph.tensor import Operand, Tensor


def concatenate(graph: Graph, parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """Along an axis that there is."""
    values = graph.alike(*parts)
    place = normalize_axis_index(axis, values[0].ndim)
    total = sum(value.shape[place] for value in values)
    shape = (*values[0].shape[:place], total, *values[0].shape[place + 1 :])
    for value in values:
        if (*value.shape[:place], total, *value.shape[place + 1 :]) != shape:
            raise ValueError(f"Shapes {[value.shape for value in values]} do not join along axis {axis}")
    return graph.node("Concat", *values, axis=place, shape=shape)


def stack(graph: Graph, parts: Sequence[Operand], axis: int = 0) -> Tensor:
    """Along a new axis."""
    values = graph.alike(*parts)
    place = normalize_axis_index(axis, values[0].ndim + 1)
    shape = (*values[0].shape[:place], 1, *values[0].shape[place:])
    return concatenate(graph, [value.reshape(shape) for value in values], place)


def where(graph: Graph, condition: Operand, x: Operand, y: Operand) -> Tensor:
    """Of x where the condition holds, else of y."""
    (chosen,), values = graph.alike(condition), graph.alike(x, y)
    shape = np.broadcast_shapes(chosen.shape, *(value.shape for value in values))
    return graph.node("Where", chosen, *values, shape=shape, dtype=values[0].dtype)


def pad(
    graph: Graph,
    x: Tensor,
    pad_width: Any,
    mode: Literal["constant", "edge", "reflect"] = "constant",
) -> Tensor:
    """`pad_width` in any of numpy's ways; constant means zero."""
    widths = np.broadcast_to(np.asarray(pad_width, np.int64), (x.ndim, 2))
    shape = tuple(int(size + before + after) for size, (before, after) in zip(x.shape, widths, strict=True))
    return graph.node("Pad", x, graph.constant(widths.T.ravel()), mode=mode, shape=shape)


def broadcast_to(graph: Graph, x: Tensor, shape: int | Sequence[int]) -> Tensor:
    """Repeated along axes of size one."""
    shape_of_both = np.broadcast_to(np.broadcast_to(np.bool_(), x.shape), shape).shape
    return graph.node("Expand", x, graph.constant(np.array(shape_of_both, np.int64)), shape=shape_of_both)


def expand_dims(graph: Graph, x: Tensor, axis: int) -> Tensor:
    """One more axis, of size one."""
    place = normalize_axis_index(axis, x.ndim + 1)
    return x.reshape((*x.shape[:place], 1, *x.shape[place:]))


FUNCTIONS: dict[Callable[..., Any], Callable[..., Tensor]] = {
    np.concatenate: concatenate,
    np.stack: stack,
    np.where: where,
    np.pad: pad,
    np.broadcast_to: broadcast_to,
    np.expand_dims: expand_dims,
}
