"""How good a model is, measured on images it did not learn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import ByteArray
from relook.detection.image import read_header
from relook.detection.model import Model
from relook.detection.regions import Regions
from relook.detection.result import is_background
from relook.errors import ImageRejectedError, TrainingDataError
from relook.float32 import exact_float32
from relook.learning.data.mask_colors import settle_colors
from relook.learning.data.masks import MASK_SIDE_PX, outside, read_mask, reduce_labels
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import OnProgress
from relook.learning.validation.metrics import (
    average_precision,
    expected_calibration_error,
    overlap,
    roc_auc,
    type_overlap,
)

TEST_PROTOCOL = "Measured on the test dataset with the finished model, which saw none of it."
_Floats = NDArray[np.floating]


@dataclass(frozen=True)
class ImageOutcome:
    """What a model that never saw the image says of it.

    Attributes:
        is_anomalous: the label.
        is_detected: the verdict.
        anomaly_probability: 0..1, a float32 value widened exactly.
        oddness: how far the image lies from the normal ones, in their usual spreads; 0 is the typical normal image.
    """

    name: str
    is_anomalous: bool
    is_detected: bool
    anomaly_probability: float
    oddness: float

    @property
    def confidence(self) -> float:
        """Probability of the verdict, by the threshold of .5 that training ends with; a float32 value too."""
        return self.anomaly_probability if self.is_detected else exact_float32(1 - self.anomaly_probability)


@dataclass(frozen=True)
class TypeMetrics:
    """Pixels of one type over the images with masks; 0..1 each."""

    name: str
    images: int
    precision: float
    recall: float
    f1: float
    iou: float


@dataclass(frozen=True)
class Evaluation:
    """Metrics 0..1; None where there was no anomalous image to measure them on.

    Attributes:
        protocol: how they were measured, in a sentence.
        false_alarm_share: normal images called anomalous.
        calibration_error: expected calibration error of the anomaly probabilities.
        types: empty for a classification model.
        outcomes: one per image, in the order given to training.
    """

    protocol: str
    normal_images: int
    anomalous_images: int
    precision: float | None
    recall: float | None
    f1: float | None
    roc_auc: float | None
    average_precision: float | None
    false_alarm_share: float
    calibration_error: float
    types: tuple[TypeMetrics, ...]
    outcomes: tuple[ImageOutcome, ...]


def evaluate(
    protocol: str, outcomes: Sequence[ImageOutcome], probabilities: _Floats, types: Sequence[TypeMetrics]
) -> Evaluation:
    """Gather the metrics of `outcomes` and their (n,) anomaly probabilities."""
    label = np.array([outcome.is_anomalous for outcome in outcomes])
    predicted = np.array([outcome.is_detected for outcome in outcomes])
    verdicts = overlap(predicted, label)
    known = bool(label.any())
    return Evaluation(
        protocol=protocol,
        normal_images=int((~label).sum()),
        anomalous_images=int(label.sum()),
        precision=verdicts.precision if known else None,
        recall=verdicts.recall if known else None,
        f1=verdicts.f1 if known else None,
        roc_auc=roc_auc(probabilities, label) if known else None,
        average_precision=average_precision(probabilities, label) if known else None,
        false_alarm_share=float(predicted[~label].mean()),
        calibration_error=expected_calibration_error(probabilities, label),
        types=tuple(types),
        outcomes=tuple(outcomes),
    )


def type_metrics(name: str, number: int, predicted: Sequence[ByteArray], truth: Sequence[ByteArray]) -> TypeMetrics:
    """Pixels labelled `number` in `predicted` against `truth`, all images taken together."""
    each = type_overlap(number, predicted, truth)
    images = sum(bool((labels == number).any()) for labels in truth)
    return TypeMetrics(name, images, each.precision, each.recall, each.f1, each.iou)


def evaluate_on(
    model: Model, images: Sequence[LabeledImage], on_progress: OnProgress, regions: Regions | None = None
) -> Evaluation:
    """Let a finished model look at images it was not trained on, as detection will.

    Args:
        regions: in which nothing counts: images with all their defects there are left out, as training leaves them out.
    Raises:
        TrainingDataError: no normal image, or an image or mask that cannot be used; names it.
    """
    if all(image.is_anomalous for image in images):
        raise TrainingDataError("The test dataset has no image labelled normal; at least one is needed")
    outcomes, predicted, truth = [], [], []
    images, _ = settle_colors(images)
    images = [image for image in images if not _is_hidden(image, model, regions)]
    for index, image in enumerate(images, start=1):
        data = image.read()
        try:
            result = model.detect(data)
        except ImageRejectedError as error:
            raise TrainingDataError(f"{image.name} of the test dataset cannot be used: {error.message}") from error
        # How odd it is was measured among the training images only.
        p = result.anomaly_probability
        outcomes.append(ImageOutcome(image.name, image.is_anomalous, result.is_anomalous, p, math.nan))
        if image.is_anomalous and image.read_mask is not None and result.mask_png is not None:
            painted, outline = _labels(result.mask_png, model), _outline(image, image.read_mask, model)
            painted, outline = (outside(each, regions) for each in _comparable(painted, outline))
            # Where both say background, nothing is counted, and most of an image is that.
            either = (painted > 0) | (outline > 0)
            predicted.append(painted[either])
            truth.append(outline[either])
        on_progress("looking at the test images", index, len(images))
    probabilities = np.array([outcome.anomaly_probability for outcome in outcomes])
    types: list[TypeMetrics] = []
    if predicted:
        names = [each.name for each in model.manifest.classes]
        types = [type_metrics(name, number, predicted, truth) for number, name in enumerate(names, start=1)]
    return evaluate(TEST_PROTOCOL, outcomes, probabilities, types)


def _labels(mask_png: bytes, model: Model) -> ByteArray:
    """Which type each pixel of one of our own masks shows, in the model's numbers."""
    with Image.open(BytesIO(mask_png)) as image:
        packed = np.asarray(image).astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    labels = np.zeros(packed.shape, np.uint8)
    for number, each in enumerate(model.manifest.classes, start=1):
        labels[packed == int(each.color[1:], 16)] = number
    return labels


def _is_hidden(image: LabeledImage, model: Model, regions: Regions | None) -> bool:
    if regions is None or not image.is_anomalous or image.read_mask is None:
        return False
    labels = _painted(image, image.read_mask, model)
    return bool(labels.any() and not outside(labels, regions).any())


def _outline(image: LabeledImage, read: Callable[[], bytes], model: Model) -> ByteArray:
    """The labels of an image's mask, in the model's numbers; 0 for a type that the model does not know."""
    known = [each.name for each in model.manifest.classes]
    names = [name for name in image.colors if not is_background(name)]
    numbers = [0, *(known.index(name) + 1 if name in known else 0 for name in names)]
    return np.array(numbers, np.uint8)[_painted(image, read, model)]


def _painted(image: LabeledImage, read: Callable[[], bytes], model: Model) -> ByteArray:
    height, width = model.manifest.image_size or _size(image.read())
    return read_mask(read(), image.colors, name=image.name, height=height, width=width)


def _size(data: bytes) -> tuple[int, int]:
    header = read_header(data)
    return header.height, header.width


def _comparable(painted: ByteArray, outline: ByteArray) -> tuple[ByteArray, ByteArray]:
    """The same shape: reduced as `read_mask` reduces; a mask of one colour may have any size."""
    painted = reduce_labels(painted, MASK_SIDE_PX)
    return painted, outline if outline.shape == painted.shape else np.full(painted.shape, outline[0, 0], np.uint8)
