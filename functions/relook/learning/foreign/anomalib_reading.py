"""What anomalib's exports take and give, found out from the graph, a trial run and, for anomalib 1, `metadata.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from onnx import ModelProto, TensorProto

from relook.detection.arrays import FloatArray
from relook.errors import PackageError
from relook.learning.graph.reading import image_input

_MAX_BATCH = 8  # an image is repeated to fill it, each time at its full cost


@dataclass(frozen=True)
class Entry:
    """Where images go in; height and width are 0 while they are open."""

    name: str
    batch: int
    height: int
    width: int

    @classmethod
    def of(cls, model: ModelProto) -> Entry:
        """
        Raises:
            PackageError: the model takes something else than images.
        """
        image = image_input(model, "export", PackageError)
        kind = image.type.tensor_type
        shape = [d.dim_value for d in kind.shape.dim]
        is_image = len(shape) == 4 and shape[0] <= _MAX_BATCH and shape[1] == 3
        if kind.elem_type != TensorProto.FLOAT or not is_image:
            given = f"{TensorProto.DataType.Name(kind.elem_type).lower()} {tuple(size or '?' for size in shape)}"
            raise PackageError(f"The export takes {image.name}, {given}; float (n, 3, height, width) is expected")
        return cls(image.name, shape[0] or 1, shape[2], shape[3])


@dataclass(frozen=True)
class Normalization:
    """(value - threshold) / (high - low) + 0.5, as anomalib 1 does outside the graph."""

    threshold: float
    low: float
    high: float

    @classmethod
    def read(cls, metadata: bytes, threshold: str, values: str) -> Normalization:
        """
        Raises:
            PackageError: there is no such threshold, or no such range of values.
        """
        try:
            fields = json.loads(metadata)
            limits = cls(*(float(fields[name]) for name in (threshold, f"{values}.min", f"{values}.max")))
        except (ValueError, TypeError, KeyError) as error:
            raise PackageError(f"metadata.json lacks or garbles {threshold} or the range of {values}") from error
        if not limits.low < limits.high:
            raise PackageError(f"metadata.json has the range {limits.low} to {limits.high} for {values}")
        return limits

    def __call__(self, values: FloatArray) -> FloatArray:
        return ((values - self.threshold) / (self.high - self.low) + 0.5).clip(0, 1)


@dataclass(frozen=True)
class Reading:
    """Which outputs are score and map, and what is still to be done to them.

    Attributes:
        score: None where the map's maximum is the score.
        map: None for models that give none; every place then shows the score.
        map_size: (height, width).
    """

    score: str | None
    map: str | None
    map_size: tuple[int, int]
    score_normalization: Normalization | None
    map_normalization: Normalization | None

    @classmethod
    def of(cls, outputs: dict[str, FloatArray], metadata: bytes | None) -> Reading:
        """From the outputs of a trial run.

        Raises:
            PackageError: they mean nothing without metadata, or with it.
        """
        if "pred_score" in outputs:
            map_name = "anomaly_map" if "anomaly_map" in outputs else None
            return cls("pred_score", map_name, _map_size(outputs, map_name), None, None)
        if metadata is None:
            raise PackageError(
                f"The export gives {', '.join(outputs)}; pred_score is expected, as anomalib 2 names it. "
                "An export of anomalib 1 needs the metadata.json that was written beside it"
            )
        batch = next(iter(outputs.values())).shape[0]
        score = next((name for name, values in outputs.items() if values.size == batch), None)
        map_name = next((name for name, values in outputs.items() if values.ndim > 2 and values.size > batch), None)
        if score is None and map_name is None:
            raise PackageError(f"The export gives {', '.join(outputs)}; none of them is a score or a map")
        of_score = Normalization.read(metadata, "image_threshold", "pred_scores")
        of_map = Normalization.read(metadata, "pixel_threshold", "anomaly_maps") if map_name else None
        return cls(score, map_name, _map_size(outputs, map_name), of_score, of_map)

    def probability(self, outputs: dict[str, FloatArray]) -> float:
        """anomalib's normalised score of the first image."""
        values = outputs[self.score or self.map or ""][0].max()
        return float(self.score_normalization(values) if self.score_normalization else values)


def _map_size(outputs: dict[str, FloatArray], name: str | None) -> tuple[int, int]:
    if name is None:
        return 1, 1
    *rest, height, width = outputs[name].shape
    if np.prod(rest) != rest[0]:
        raise PackageError(f"The export gives {name} of shape {outputs[name].shape}; (n, 1, height, width) is expected")
    return height, width
