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
    """What a formula's graph gives for these arrays; its shape must be the one that the formula was told."""
    graph = Graph()
    inputs = [graph.input(f"x{place}", array.dtype, array.shape) for place, array in enumerate(arrays)]
    output: Tensor = formula(*inputs)
    graph.output("found", output)
    data = graph.finish()
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)  # types and shapes as onnx infers them
    values = Session(data, threads=1)(**{f"x{place}": array for place, array in enumerate(arrays)})["found"]
    assert values.shape == output.shape
    return values
