"""A value of a graph that answers numpy as an array does, so that one formula serves both.

`np.sign(z) * np.log(1 + np.abs(z))` gives numbers for an array, and for a Tensor writes the nodes that will compute
them. numpy offers both halves of this (NEP 13 for its ufuncs, NEP 18 for its other functions); what it has no word for
is in `layers.py`. Whatever is not supported is a TypeError where the formula is written, never a wrong graph.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple
from numpy.typing import DTypeLike, NDArray

from relook.learning.graph import functions, ufuncs
from relook.learning.graph.indexing import Index, select

if TYPE_CHECKING:
    from relook.learning.graph.builder import Graph

Axis: TypeAlias = int | Sequence[int] | None
Operand: TypeAlias = "Tensor | NDArray[Any] | np.generic | float"


class Tensor(np.lib.mixins.NDArrayOperatorsMixin):
    """Made by a graph, never by hand.

    Attributes:
        graph: the one it is a value of.
        name: unique there.
        shape: every axis known, the batch too.
        dtype: float32, or int64 and bool inside a formula, or what an input has.
    """

    def __init__(self, graph: Graph, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.graph = graph
        self.name = name
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def __repr__(self) -> str:
        return f"Tensor({self.name}, {self.shape}, {self.dtype})"

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def T(self) -> Tensor:  # noqa: N802 - numpy's name
        """With all axes reversed."""
        return self.transpose()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Index) -> Tensor:
        """Integers, slices, `...` and None; or slices and one array or Tensor of integers."""
        return select(self, index)

    def astype(self, dtype: DTypeLike) -> Tensor:
        """To float32, int64, uint8 or bool."""
        if self.dtype == dtype:
            return self
        return self.graph.node("Cast", self, to=self.graph.element_type(dtype), shape=self.shape, dtype=dtype)

    def reshape(self, *shape: int | Sequence[int]) -> Tensor:
        """One axis may be -1."""
        # numpy's own rule, on an array that takes no memory
        new_shape = np.broadcast_to(np.bool_(), self.shape).reshape(_flat(shape)).shape
        if new_shape == self.shape:
            return self
        return self.graph.node("Reshape", self, self.graph.constant(np.array(new_shape, np.int64)), shape=new_shape)

    def flatten(self) -> Tensor:
        """As one axis."""
        return self.reshape(-1)

    def transpose(self, *axes: int | Sequence[int]) -> Tensor:
        """All axes reversed, unless their order is given."""
        order = normalize_axis_tuple(_flat(axes), self.ndim) if axes else tuple(range(self.ndim))[::-1]
        if len(order) != self.ndim:
            raise ValueError(f"{order} does not order the axes of {self.shape}")
        return self.graph.node("Transpose", self, perm=order, shape=tuple(self.shape[axis] for axis in order))

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """Over the axis or axes, all of them unless given; likewise below. Of bool, int64."""
        value = self.astype(np.int64) if self.dtype == np.bool_ else self  # numpy counts
        return value._reduce("ReduceSum", axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """float32."""
        return self.astype(np.float32)._reduce("ReduceMean", axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The largest value."""
        return self._reduce("ReduceMax", axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The smallest value."""
        return self._reduce("ReduceMin", axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """float32; of the values as they are, with no degree of freedom taken off."""
        apart = self - self.mean(axis, keepdims=True)
        return (apart * apart).mean(axis, keepdims)

    def std(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """The root of `var`."""
        return ufuncs.apply(self.graph, np.sqrt, self.var(axis, keepdims))

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """int64; the first of equals, as numpy."""
        return self._place("ArgMax", axis, keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """int64; the first of equals, as numpy."""
        return self._place("ArgMin", axis, keepdims)

    def clip(self, low: float | None = None, high: float | None = None) -> Tensor:
        """Between two numbers, either of which may be left out."""
        limits = (None if limit is None else self.graph.constant(np.array(limit, self.dtype)) for limit in (low, high))
        return self.graph.node("Clip", self, *limits, shape=self.shape)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Operand, **options: object) -> Any:
        if method != "__call__" or options or not ufuncs.is_known(ufunc):
            return NotImplemented
        return ufuncs.apply(self.graph, ufunc, *inputs)

    def __array_function__(
        self,
        function: Callable[..., Any],
        types: Collection[type],
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> Any:
        if function in _METHODS:
            return _METHODS[function](*arguments, **options)
        if function in functions.FUNCTIONS:
            return functions.FUNCTIONS[function](self.graph, *arguments, **options)
        return NotImplemented

    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        raise TypeError(f"{self!r} has no numbers before its graph runs; what asks for them is not supported")

    def __bool__(self) -> bool:
        raise TypeError(f"{self!r} is neither true nor false before its graph runs; np.where decides there")

    if TYPE_CHECKING:  # numpy's mixin answers them all, and calls every answer Any

        def __add__(self, other: Operand) -> Tensor: ...
        def __radd__(self, other: Operand) -> Tensor: ...
        def __sub__(self, other: Operand) -> Tensor: ...
        def __rsub__(self, other: Operand) -> Tensor: ...
        def __mul__(self, other: Operand) -> Tensor: ...
        def __rmul__(self, other: Operand) -> Tensor: ...
        def __truediv__(self, other: Operand) -> Tensor: ...
        def __rtruediv__(self, other: Operand) -> Tensor: ...
        def __matmul__(self, other: Operand) -> Tensor: ...
        def __rmatmul__(self, other: Operand) -> Tensor: ...
        def __pow__(self, other: Operand) -> Tensor: ...
        def __lt__(self, other: Operand) -> Tensor: ...
        def __le__(self, other: Operand) -> Tensor: ...
        def __gt__(self, other: Operand) -> Tensor: ...
        def __ge__(self, other: Operand) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __abs__(self) -> Tensor: ...

    def _reduce(self, op: str, axis: Axis, keepdims: bool) -> Tensor:
        axes = tuple(range(self.ndim)) if axis is None else normalize_axis_tuple(axis, self.ndim)
        if not axes:  # ONNX would take "no axes" for all of them
            return self
        constant = self.graph.constant(np.array(axes, np.int64))
        return self.graph.node(op, self, constant, keepdims=int(keepdims), shape=self._reduced(axes, keepdims))

    def _place(self, op: str, axis: int | None, keepdims: bool) -> Tensor:
        if axis is None:
            return self.flatten()._place(op, 0, False).reshape((1,) * self.ndim if keepdims else ())
        axes = normalize_axis_tuple(axis, self.ndim)
        shape = self._reduced(axes, keepdims)
        return self.graph.node(op, self, axis=axes[0], keepdims=int(keepdims), shape=shape, dtype=np.int64)

    def _reduced(self, axes: tuple[int, ...], keepdims: bool) -> tuple[int, ...]:
        sizes = enumerate(self.shape)
        return tuple(1 if axis in axes else size for axis, size in sizes if keepdims or axis not in axes)


_METHODS: dict[Callable[..., Any], Callable[..., Any]] = {
    np.sum: Tensor.sum,
    np.mean: Tensor.mean,
    np.max: Tensor.max,
    np.min: Tensor.min,
    np.var: Tensor.var,
    np.std: Tensor.std,
    np.argmax: Tensor.argmax,
    np.argmin: Tensor.argmin,
    np.clip: Tensor.clip,
    np.reshape: Tensor.reshape,
    np.ravel: Tensor.flatten,
    np.transpose: lambda x, axes=None: x.transpose(*(axes or ())),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
}


def _flat(parts: Sequence[int | Sequence[int]]) -> list[int]:
    """`reshape(2, 3)` and `reshape((2, 3))` mean the same."""
    return [size for part in parts for size in (part if isinstance(part, Sequence) else (part,))]
