"""Detection: bytes of an image in, a verdict with its pictures out."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.calibration import confidence, probability
from relook.detection.image import ImageHeader, read_header
from relook.detection.package import KEPT, SCORE, ModelPackage
from relook.detection.rendering import count_labels, heat_map_png, label_pixels, mask_png
from relook.detection.result import (
    BACKGROUND,
    BACKGROUND_COLOR,
    Anomaly,
    DetectAnomalyResult,
    NearestNormal,
)
from relook.detection.session import Session
from relook.detection.statistics import PictureStatistics, picture_statistics
from relook.detection.view import Cut
from relook.errors import ImageRejectedError, PackageError, RejectionReason
from relook.float32 import exact_float32


@dataclass(frozen=True)
class Look:
    """What the graph says of an image.

    Attributes:
        scores: (k,), one for each calibration.
        map: (h, w) on the cut's canvas, as `types`.
        types: (classes + 1, h, w) probabilities; None for a classification model.
        nearest: index of the most similar normal image and its distance; None where the model remembers none.
    """

    cut: Cut
    scores: FloatArray
    map: FloatArray
    types: FloatArray | None
    nearest: FloatArray | None

    def on_image(self, height: int, width: int) -> FloatArray:
        """(height, width): the map over the whole image, the lowest value where the model does not look."""
        return self.cut.on_image(self.map, height, width, beyond=float(self.map.min()))


class Model:
    """A loaded model package. Safe to call from several threads."""

    def __init__(self, package: ModelPackage, *, threads: int = 2) -> None:
        """
        Raises:
            PackageError: the graph cannot be loaded, or is not shaped as the manifest says.
        """
        self.manifest = package.manifest
        self._session = Session(package.graph, threads=threads)
        self._refuse_other_shapes()
        self._kept = {name: shape for name, shape in self._session.shapes.items() if name.startswith(KEPT)}

    @property
    def is_segmentation(self) -> bool:
        """Whether detections come with types, areas and a mask."""
        return bool(self.manifest.classes)

    def detect(self, data: bytes, threshold: float | None = None) -> DetectAnomalyResult:
        """Look at one encoded image.

        Args:
            threshold: the anomaly probability from which it is anomalous, 0..1; the model's own unless given.
        Raises:
            ImageRejectedError: the image cannot be read, or has another size than the training images.
        """
        header = read_header(data)
        self._refuse_other_size(header)
        seen = self.look(data)
        # As they are kept and answered, so that whoever compares the two comes to the same verdict
        p = exact_float32(probability(seen.scores, self.manifest.calibration))
        threshold = exact_float32(self.manifest.threshold if threshold is None else threshold)
        is_anomalous = p >= threshold
        known = self.manifest.statistics
        anomalies, mask = (None, None) if seen.types is None else self._find_types(seen.types, seen.cut, is_anomalous)
        return DetectAnomalyResult(
            is_anomalous=is_anomalous,
            confidence=exact_float32(confidence(p, threshold)),
            anomaly_probability=p,
            threshold=threshold,
            anomalies=anomalies,
            mask_png=mask,
            heat_map_png=heat_map_png(seen.map, self.manifest.heat_map, seen.cut),
            nearest_normal=self._nearest_normal(seen),
            score=known[SCORE].in_spreads(float(seen.scores[0])) if known else None,
            statistics=self._statistics(seen.cut),
        )

    def look(self, data: bytes) -> Look:
        """The graph's raw outputs for an image of any size; what training and benchmarks compare.

        Raises:
            ImageRejectedError: the image cannot be read.
        """
        cut = self.manifest.view.cut(data)
        kept = {name: cut.kept(height, width)[None] for name, (_, height, width) in self._kept.items()}
        outputs = self._session(image=cut.pixels[None], **kept)
        return Look(cut, outputs["scores"], outputs["map"], outputs.get("types"), outputs.get("nearest"))

    def _refuse_other_shapes(self) -> None:
        expected = {
            "image": (1, *self.manifest.view.canvas, 3),
            "scores": (len(self.manifest.calibration),),
        }
        if self.manifest.normals:
            expected["nearest"] = (2,)
        shapes = self._session.shapes
        if self.is_segmentation:
            expected["types"] = (len(self.manifest.classes) + 1, *shapes.get("types", (0,))[1:])
        for name, shape in expected.items():
            if shapes.get(name) != shape:
                raise PackageError(f"The graph's {name} has shape {shapes.get(name)}; the manifest asks for {shape}")

    def _refuse_other_size(self, header: ImageHeader) -> None:
        wanted = self.manifest.image_size
        if wanted is not None and wanted != (header.height, header.width):
            message = (
                f"The image is {header.width} x {header.height} pixels; "
                f"the model was trained on {wanted[1]} x {wanted[0]}, and images must have that size"
            )
            raise ImageRejectedError(RejectionReason.SIZE_MISMATCH, message)

    def _nearest_normal(self, seen: Look) -> NearestNormal | None:
        if seen.nearest is None or not self.manifest.normals:
            return None
        index, distance = seen.nearest
        return NearestNormal(self.manifest.normals[int(index)], float(distance))

    def _statistics(self, cut: Cut) -> PictureStatistics | None:
        if not self.manifest.statistics:
            return None
        measured = asdict(picture_statistics(cut.pixels))
        known = self.manifest.statistics
        return PictureStatistics(**{name: known[name].in_spreads(value) for name, value in measured.items()})

    def _find_types(self, types: FloatArray, cut: Cut, is_anomalous: bool) -> tuple[tuple[Anomaly, ...], bytes]:
        """Types with their areas, and the mask. A normal verdict paints nothing, so that the two never disagree."""
        classes = self.manifest.classes
        if is_anomalous:
            labels = label_pixels(types, [c.threshold for c in classes], cut, *cut.size)
        else:
            labels = np.zeros(cut.size, np.uint8)
        counts = count_labels(labels, len(classes))
        for number, count in enumerate(counts[1:], start=1):
            if count and not exact_float32(count / labels.size):  # too small a share to be written
                labels[labels == number] = 0
                counts[0], counts[number] = counts[0] + count, 0
        shares = [exact_float32(count / labels.size) for count in counts]
        present = [Anomaly(c.name, share, c.color) for c, share in zip(classes, shares[1:], strict=True) if share > 0]
        mask = mask_png(labels, [c.color for c in classes])
        return (Anomaly(BACKGROUND, shares[0], BACKGROUND_COLOR), *present), mask
