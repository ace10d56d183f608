"""A small hand to write ONNX graphs with. Used in training only, where `onnx` is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

OPSET = 18
IR_VERSION = 10


@dataclass(frozen=True)
class Tensor:
    """A value inside a graph, known by its name."""

    name: str


@dataclass
class GraphBuilder:
    """Collects nodes in the order they are written; images and maps are (1, channels, height, width) float32.

    What is written twice is computed once: the same operator on the same values is the same value.
    """

    _nodes: list[Any] = field(default_factory=list, init=False)
    _constants: list[Any] = field(default_factory=list, init=False)
    _inputs: list[tuple[str, type[np.generic], tuple[int, ...]]] = field(default_factory=list, init=False)
    _outputs: list[tuple[str, tuple[int, ...]]] = field(default_factory=list, init=False)
    _known: dict[tuple[Any, ...], list[Tensor]] = field(default_factory=dict, init=False)

    def input(self, name: str, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
        """A value the caller feeds."""
        self._inputs.append((name, dtype, shape))
        return Tensor(name)

    def output(self, name: str, value: Tensor, shape: tuple[int, ...]) -> None:
        """A float32 value the caller gets back."""
        self._add("Identity", [value.name], [name])
        self._outputs.append((name, shape))

    def constant(self, value: NDArray[Any] | float) -> Tensor:
        """A float becomes a float32 scalar; an integer array becomes int64, what ONNX wants of shapes and axes."""
        array = np.asarray(value)
        kind = np.int64 if np.issubdtype(array.dtype, np.integer) else np.float32
        from onnx import numpy_helper

        array = np.ascontiguousarray(array, kind).reshape(array.shape)
        key = (kind, array.shape, array.tobytes())
        if key not in self._known:
            name = f"constant_{len(self._constants)}"
            self._constants.append(numpy_helper.from_array(array, name))
            self._known[key] = [Tensor(name)]
        return self._known[key][0]

    def node(self, op: str, *inputs: Tensor | None, **attributes: Any) -> Tensor:
        """One operator; `None` stands for an optional input left out."""
        return self.nodes(op, 1, *inputs, **attributes)[0]

    def nodes(self, op: str, outputs: int, *inputs: Tensor | None, **attributes: Any) -> list[Tensor]:
        """One operator of several outputs."""
        key = (op, outputs, inputs, repr(sorted(attributes.items())))
        if key not in self._known:
            names = [f"{op}_{len(self._nodes)}_{i}" for i in range(outputs)]
            self._add(op, ["" if i is None else i.name for i in inputs], names, **attributes)
            self._known[key] = [Tensor(name) for name in names]
        return self._known[key]

    def convolve(
        self, x: Tensor, kernel: NDArray[Any], *, bias: NDArray[Any] | None = None, **attributes: Any
    ) -> Tensor:
        """Kernel (out, in / group, height, width)."""
        extra = [] if bias is None else [self.constant(bias)]
        return self.node("Conv", x, self.constant(kernel), *extra, **attributes)

    def pad_edges(self, x: Tensor, height: int, width: int) -> Tensor:
        """Repeat the outermost pixels, `height` rows above and below, `width` columns left and right."""
        return self.node("Pad", x, self.constant(np.array([0, 0, height, width] * 2)), mode="edge")

    def mean_filter(self, x: Tensor, size: int) -> Tensor:
        """Mean over an odd window, edges repeated."""
        padded = self.pad_edges(x, size // 2, size // 2)
        return self.node("AveragePool", padded, kernel_shape=[size, size], strides=[1, 1])

    def to_grid(self, x: Tensor, channels: int, size: int, grid: int) -> Tensor:
        """A square map brought from `size` to `grid` cells a side: block means down, bilinear up."""
        if size > grid:
            return self.node("AveragePool", x, kernel_shape=[size // grid] * 2, strides=[size // grid] * 2)
        return x if size == grid else self.resize(x, channels, grid, grid)

    def resize(self, x: Tensor, channels: int, height: int, width: int) -> Tensor:
        """A map of any size brought to another one, bilinear."""
        shape = self.constant(np.array([1, channels, height, width]))
        return self.node("Resize", x, None, None, shape, mode="linear", coordinate_transformation_mode="half_pixel")

    def splice(self, model: bytes, x: Tensor) -> list[Tensor]:
        """A whole ONNX model of one input as part of this graph, its names kept apart; its outputs."""
        import onnx

        part = onnx.compose.add_prefix(onnx.load_from_string(model), f"spliced_{len(self._nodes)}_").graph
        stored = {constant.name for constant in part.initializer}
        (entry,) = (value.name for value in part.input if value.name not in stored)
        self._add("Identity", [x.name], [entry])
        self._nodes += part.node
        self._constants += part.initializer
        return [Tensor(value.name) for value in part.output]

    def scan(self, body: GraphBuilder, *inputs: Tensor) -> Tensor:
        """Run a graph of one output over the first axes of the inputs, one slice after the other; the outputs stacked.

        A loop keeps the memory of one slice, where a batch would take that of all.
        """
        name = f"Scan_{len(self._nodes)}"
        graph = body.as_graph(name + "_")
        self._add("Scan", [i.name for i in inputs], [name], body=graph, num_scan_inputs=len(inputs))
        return Tensor(name)

    def reshape(self, x: Tensor, *shape: int) -> Tensor:
        """Same values, other shape."""
        return self.node("Reshape", x, self.constant(np.array(shape)))

    def take(self, x: Tensor, start: int, stop: int, axis: int) -> Tensor:
        """x[start:stop] along one axis."""
        return self.node("Slice", x, *(self.constant(np.array([i])) for i in (start, stop, axis)))

    def mean(self, x: Tensor, *axes: int, keepdims: bool = False) -> Tensor:
        """Mean over axes."""
        return self.node("ReduceMean", x, self.constant(np.array(axes)), keepdims=int(keepdims))

    def finish(self) -> bytes:
        """The graph as ONNX bytes; the same calls give the same bytes."""
        from onnx import helper

        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(self.as_graph(), producer_name="relook", opset_imports=opset)
        model.ir_version = IR_VERSION
        return bytes(model.SerializeToString(deterministic=True))

    def as_graph(self, prefix: str = "") -> Any:
        """The bare ONNX graph; inside another one its names need a prefix of their own."""
        from onnx import TensorProto, compose, helper

        kinds: dict[type[np.generic], int] = {np.uint8: TensorProto.UINT8, np.float32: TensorProto.FLOAT}
        graph = helper.make_graph(
            self._nodes,
            "relook",
            [helper.make_tensor_value_info(name, kinds[dtype], shape) for name, dtype, shape in self._inputs],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in self._outputs],
            self._constants,
        )
        return compose.add_prefix_graph(graph, prefix) if prefix else graph

    def _add(self, op: str, inputs: list[str], outputs: list[str], **attributes: Any) -> None:
        from onnx import helper

        self._nodes.append(helper.make_node(op, inputs, outputs, **attributes))
