"""What `x[...]` means for a value of a graph: a cut, another shape, a gathering; as numpy has it."""

from __future__ import annotations

from collections.abc import Sequence
from types import EllipsisType
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from relook.learning.graph.tensor import Tensor

Item: TypeAlias = "int | slice | EllipsisType | NDArray[Any] | Sequence[int] | Tensor | None"
Index: TypeAlias = "Item | tuple[Item, ...]"


def select(x: Tensor, index: Index) -> Tensor:
    """
    Raises:
        IndexError: out of bounds, more items than axes, a mask, or an array of indices beside anything but slices.
    """
    items = _one_for_each_axis(index if isinstance(index, tuple) else (index,), x.shape)
    cuts: list[range] = []
    shape: list[int] = []
    gathered: list[tuple[int, Tensor]] = []
    for item in items:
        if item is None:
            shape.append(1)
            continue
        size = x.shape[len(cuts)]
        if isinstance(item, int | np.integer):
            place = range(size)[item]  # raises what numpy raises
            cuts.append(range(place, place + 1))
            continue
        if isinstance(item, slice):
            cuts.append(range(*item.indices(size)))
        else:
            gathered.append((len(shape), _indices(x, item)))
            cuts.append(range(size))
        shape.append(len(cuts[-1]))
    if len(gathered) > 1 or (gathered and any(isinstance(item, int | np.integer) for item in items)):
        raise IndexError("An array of indices stands beside slices only, one at a time")
    picked = _cut(x, cuts).reshape(shape)
    for axis, indices in gathered:
        new = (*shape[:axis], *indices.shape, *shape[axis + 1 :])
        picked = x.graph.node("Gather", picked, indices, axis=axis, shape=new)
    return picked


def _one_for_each_axis(items: Sequence[Item], shape: tuple[int, ...]) -> list[Item]:
    """Besides those that are None; `...` written out."""
    missing = len(shape) - sum(item is not None and item is not ... for item in items)
    if missing < 0:
        raise IndexError(f"More indices than axes in {shape}")
    places = [place for place, item in enumerate(items) if item is ...]
    if len(places) > 1:
        raise IndexError("An index has one ellipsis at most")
    place = places[0] if places else len(items)
    return [*items[:place], *[slice(None)] * missing, *items[place + 1 :]]


def _indices(x: Tensor, item: Any) -> Tensor:
    (indices,) = x.graph.alike(item if hasattr(item, "graph") else np.asarray(item))
    if indices.dtype != np.int64:
        raise IndexError(f"An index is of integers, not {indices.dtype}; a mask would leave the shape open")
    return indices


def _cut(x: Tensor, cuts: Sequence[range]) -> Tensor:
    axes = [axis for axis, (cut, size) in enumerate(zip(cuts, x.shape, strict=True)) if cut != range(size)]
    if not axes:
        return x
    # Backwards to the very first, the stop is -1, which ONNX would count from the end
    stops = [cuts[axis].stop if cuts[axis].stop >= 0 else -x.shape[axis] - 1 for axis in axes]
    lists = ([cuts[axis].start for axis in axes], stops, axes, [cuts[axis].step for axis in axes])
    constants = (x.graph.constant(np.array(each, np.int64)) for each in lists)
    return x.graph.node("Slice", x, *constants, shape=tuple(len(cut) for cut in cuts))
