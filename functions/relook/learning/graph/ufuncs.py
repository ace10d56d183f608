"""numpy's element-wise functions and matrix product, as operators of ONNX."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from relook.learning.graph.builder import Graph
    from relook.learning.graph.tensor import Operand, Tensor

_SAME_KIND: dict[np.ufunc, str] = {
    np.add: "Add",
    np.subtract: "Sub",
    np.multiply: "Mul",
    np.negative: "Neg",
    np.absolute: "Abs",
    np.sign: "Sign",
    np.maximum: "Max",
    np.minimum: "Min",
    np.power: "Pow",
    np.floor: "Floor",
    np.ceil: "Ceil",
    np.rint: "Round",  # both round halves to even
    np.matmul: "MatMul",
}
_OF_BOOLS: dict[np.ufunc, str] = {np.bitwise_and: "And", np.bitwise_or: "Or", np.invert: "Not"}
_ALWAYS_FLOAT: dict[np.ufunc, str] = {
    np.true_divide: "Div",
    np.log: "Log",
    np.exp: "Exp",
    np.sqrt: "Sqrt",
    np.sin: "Sin",
    np.cos: "Cos",
    np.arctan: "Atan",
    np.tanh: "Tanh",
}
_TO_BOOL: dict[np.ufunc, str] = {
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.equal: "Equal",
}
_OPERATORS = {**_SAME_KIND, **_OF_BOOLS, **_ALWAYS_FLOAT, **_TO_BOOL}


def is_known(ufunc: np.ufunc) -> bool:
    """Whether `apply` has an operator for it."""
    return ufunc in _OPERATORS or ufunc is np.square


def apply(graph: Graph, ufunc: np.ufunc, *inputs: Operand) -> Tensor:
    """The node for one of the ufuncs that are known.

    Raises:
        TypeError: unsigned integers, which numpy would wrap around; bools where numbers are expected, or the reverse.
        ValueError: shapes that do not go together.
    """
    if ufunc is np.square:
        return apply(graph, np.multiply, inputs[0], inputs[0])
    values = graph.alike(*inputs, floating=ufunc in _ALWAYS_FLOAT)
    if ufunc not in _TO_BOOL and (values[0].dtype == np.bool_) != (ufunc in _OF_BOOLS):
        raise TypeError(f"{ufunc.__name__} of {values[0].dtype} is not supported")
    shapes = [value.shape for value in values]
    shape = _product(*shapes) if ufunc is np.matmul else np.broadcast_shapes(*shapes)
    if ufunc is np.maximum and np.isscalar(inputs[1]) and inputs[1] == 0 and values[0].dtype == np.float32:
        return graph.node("Relu", values[0], shape=shape)  # becomes one with a convolution before it; Max does not
    return graph.node(_OPERATORS[ufunc], *values, shape=shape, dtype=np.bool_ if ufunc in _TO_BOOL else None)


def _product(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a matrix product, vectors and batches as numpy has them."""
    rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
    if not left or not right or left[-1] != right[-2:][0]:
        raise ValueError(f"No matrix product of {left} and {right}")
    return (*np.broadcast_shapes(left[:-2], right[:-2]), *rows, *columns)
