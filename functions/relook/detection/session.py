"""ONNX graphs, run. onnxruntime is imported at the first session, so that reading an image does not pay for it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.errors import PackageError


class Session:
    """A loaded graph. Safe to call from several threads."""

    def __init__(self, graph: bytes, *, threads: int) -> None:
        """
        Raises:
            PackageError: onnxruntime cannot load these bytes.
        """
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # what goes wrong is raised; nothing is printed besides
        # A waiting thread that spins burns the CPU time a Lambda shares with decoding.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise PackageError(f"The graph cannot be loaded: {error}") from error
        self._names: list[str] = [output.name for output in self._session.get_outputs()]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What the graph takes and gives."""
        return {value.name: tuple(value.shape) for value in (*self._session.get_inputs(), *self._session.get_outputs())}

    def __call__(self, **inputs: NDArray[Any]) -> dict[str, FloatArray]:
        """Run once; the outputs by name."""
        values = self._session.run(None, inputs)
        return {name: np.asarray(value, np.float32) for name, value in zip(self._names, values, strict=True)}
