"""An ONNX graph in the making: inputs, constants and nodes in the order they are written, then bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from relook.learning.graph.functions import concatenate
from relook.learning.graph.splicing import opened
from relook.learning.graph.tensor import Operand, Tensor

# No newer than what is used asks for: a runtime refuses versions that it does not know
OPSET = 18
IR_VERSION = 10

Attribute: TypeAlias = int | float | str | Sequence[int] | Sequence[float]

_ELEMENT_TYPES = {
    np.dtype(np.float32): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(np.int32): TensorProto.INT32,
    np.dtype(np.int8): TensorProto.INT8,
    np.dtype(np.uint8): TensorProto.UINT8,
    np.dtype(np.bool_): TensorProto.BOOL,
}
_KEPT = (np.float16, np.bool_, np.uint8, np.int8, np.int32)


class Graph:
    """Collects what `finish` writes.

    What is written twice is computed once: the same operator on the same values is the same value.
    """

    def __init__(self) -> None:
        self._nodes: list[NodeProto] = []
        self._constants: list[TensorProto] = []
        self._inputs: list[ValueInfoProto] = []
        self._outputs: list[ValueInfoProto] = []
        self._known: dict[object, list[Tensor]] = {}

    def input(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> Tensor:
        """A value the caller feeds."""
        self._inputs.append(helper.make_tensor_value_info(name, self.element_type(dtype), shape))
        return Tensor(self, name, shape, dtype)

    def output(self, name: str, value: Tensor) -> None:
        """A value the caller gets back."""
        self._add("Identity", [self._own(value)], [name])
        self._outputs.append(helper.make_tensor_value_info(name, self.element_type(value.dtype), value.shape))

    def constant(self, value: ArrayLike) -> Tensor:
        """Floats become float32, integers int64; float16 is stored as it is, half the size, and cast when used, and
        the types that quantised values have stay."""
        array = np.asarray(value)
        if array.dtype not in _KEPT:
            array = array.astype(np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32)
        key = (array.dtype, array.shape, hashlib.sha256(array.tobytes()).digest())
        if key not in self._known:
            name = f"constant_{len(self._constants)}"
            # The order that C has, of arrays without axes too
            self._constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
            self._known[key] = [Tensor(self, name, array.shape, array.dtype)]
        stored = self._known[key][0]
        return stored.astype(np.float32) if stored.dtype == np.float16 else stored

    def node(
        self,
        op: str,
        *inputs: Tensor | None,
        shape: tuple[int, ...],
        dtype: DTypeLike | None = None,
        **attributes: Attribute,
    ) -> Tensor:
        """One operator of ONNX.

        Args:
            inputs: None stands for an optional one left out.
            shape: of what it gives; onnx's own inference is too slow to ask at every node.
            dtype: of what it gives, if not that of the first input.
        Raises:
            ValueError: an input belongs to another graph.
        """
        kinds = None if dtype is None else [dtype]
        return self.nodes(op, *inputs, shapes=[shape], dtypes=kinds, **attributes)[0]

    def nodes(
        self,
        op: str,
        *inputs: Tensor | None,
        shapes: Sequence[tuple[int, ...]],
        dtypes: Sequence[DTypeLike] | None = None,
        **attributes: Attribute,
    ) -> list[Tensor]:
        """One operator that gives several values; else as `node`."""
        names = ["" if value is None else self._own(value) for value in inputs]
        key = (op, len(shapes), tuple(names), repr(sorted(attributes.items())))
        if key not in self._known:
            outputs = [f"{op}_{len(self._nodes)}_{place}" for place in range(len(shapes))]
            self._add(op, names, outputs, **attributes)
            first = next((value.dtype for value in inputs if value is not None), np.dtype(np.float32))
            kinds = dtypes or [first] * len(shapes)
            self._known[key] = [Tensor(self, *each) for each in zip(outputs, shapes, kinds, strict=True)]
        return self._known[key]

    def alike(self, *operands: Operand, floating: bool = False) -> list[Tensor]:
        """Values and numbers as values of one type, the one numpy would settle on, floats as float32.

        Raises:
            TypeError: unsigned integers, which numpy would let wrap around; `astype` first.
        """
        # Plain numbers as they are: numpy lets the arrays beside them decide
        kinds = [each if isinstance(each, int | float) else _dtype(each) for each in operands]
        common = np.dtype(np.float32) if floating else np.result_type(*kinds)
        if common.kind not in "fib":
            raise TypeError(f"Values of {common} cannot be computed with; astype(np.float32) first")
        kind = {"f": np.float32, "i": np.int64, "b": np.bool_}[common.kind]
        return [each.astype(kind) if isinstance(each, Tensor) else self._operand(each, kind) for each in operands]

    def splice(self, model: bytes, x: Tensor) -> list[Tensor]:
        """A whole ONNX model of one input, (1, ...), as part of this graph; its outputs, shapes as it declares them.

        It is written once for each image of the batch `x`, its weights once for all.
        """
        per_image = [self._spliced(model, x[place : place + 1]) for place in range(x.shape[0])]
        return [parts[0] if len(parts) == 1 else concatenate(self, parts) for parts in zip(*per_image, strict=True)]

    def finish(self) -> bytes:
        """The graph as ONNX bytes; the same calls give the same bytes."""
        graph = helper.make_graph(self._nodes, "relook", self._inputs, self._outputs, self._constants)
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, producer_name="relook", opset_imports=opset, ir_version=IR_VERSION)
        return bytes(model.SerializeToString(deterministic=True))

    def element_type(self, dtype: DTypeLike) -> int:
        """ONNX's number for it.

        Raises:
            TypeError: not one of those that our graphs have.
        """
        kind = np.dtype(dtype)
        if kind not in _ELEMENT_TYPES:
            raise TypeError(f"Graphs have no values of {kind}; only {', '.join(map(str, _ELEMENT_TYPES))}")
        return _ELEMENT_TYPES[kind]

    def _spliced(self, model: bytes, x: Tensor) -> list[Tensor]:
        weights = f"weights_{hashlib.sha256(model).hexdigest()[:16]}_"
        key = (weights, x.name)
        if key not in self._known:
            part = opened(model, values=f"spliced_{len(self._nodes)}_", weights=weights)
            self._add("Identity", [self._own(x)], [part.entry])
            self._nodes += part.nodes
            if weights not in self._known:
                self._constants += part.weights
                self._known[weights] = []
            self._known[key] = [Tensor(self, name, shape, np.float32) for name, shape in part.outputs]
        return self._known[key]

    def _operand(self, value: NDArray[np.generic] | np.generic | float, kind: type[np.generic]) -> Tensor:
        array = np.asarray(value)
        return self.constant(array if array.dtype == np.float16 else array.astype(kind))

    def _own(self, value: Tensor) -> str:
        if value.graph is not self:
            raise ValueError(f"{value!r} belongs to another graph")
        return value.name

    def _add(self, op: str, inputs: list[str], outputs: list[str], **attributes: Attribute) -> None:
        node = helper.make_node(op, inputs, outputs)
        node.attribute.extend(helper.make_attribute(name, value) for name, value in sorted(attributes.items()))
        self._nodes.append(node)


def _dtype(operand: Tensor | NDArray[np.generic] | np.generic) -> np.dtype[np.generic]:
    return operand.dtype if isinstance(operand, Tensor) else np.asarray(operand).dtype
