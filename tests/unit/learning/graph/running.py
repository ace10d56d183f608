"""Formulas, run as graphs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from relook.detection.session import Session
from relook.learning.graph.builder import Graph
from relook.learning.graph.tensor import Tensor


def run(formula: Callable[..., Any], *arrays: NDArray[Any]) -> NDArray[np.float32]:
    """What a formula's graph gives for these arrays, its shape the one the formula was told."""
    graph = Graph()
    inputs = [graph.input(f"x{place}", array.dtype, array.shape) for place, array in enumerate(arrays)]
    found: Tensor = formula(*inputs)
    graph.output("found", found)
    data = graph.finish()
    refuse_wrong_shapes(graph, data)
    values = Session(data, threads=1)(**{f"x{place}": array for place, array in enumerate(arrays)})["found"]
    assert values.shape == found.shape
    return values


def refuse_wrong_shapes(graph: Graph, data: bytes) -> None:
    """Every shape and type on the way must be the one that onnx infers."""
    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    inferred = {
        value.name: value.type.tensor_type for value in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    known = {value.name: value for values in graph._known.values() for value in values}
    for name, kind in inferred.items():
        if name in known:
            assert tuple(size.dim_value for size in kind.shape.dim) == known[name].shape, name
            assert kind.elem_type == graph.element_type(known[name].dtype), name
