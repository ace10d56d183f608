"""How good a model is, measured on training images it did not learn from. An anomaly is the positive class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]
_BINS = 10


@dataclass(frozen=True)
class ImageOutcome:
    """What a model that never saw the image says of it.

    Attributes:
        is_anomalous: the label.
        is_detected: the verdict.
        confidence: probability of the verdict, a float32 value widened exactly.
        oddness: how far the image lies from the normal ones, in their usual spreads; 0 is the typical normal image.
    """

    name: str
    is_anomalous: bool
    is_detected: bool
    confidence: float
    oddness: float

    @property
    def anomaly_probability(self) -> float:
        """0..1, whatever the verdict."""
        return self.confidence if self.is_detected else 1 - self.confidence


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
    found = np.array([outcome.is_detected for outcome in outcomes])
    precision, recall, f1, _ = _overlap_metrics(found, label)
    known = bool(label.any())
    return Evaluation(
        protocol=protocol,
        normal_images=int((~label).sum()),
        anomalous_images=int(label.sum()),
        precision=precision if known else None,
        recall=recall if known else None,
        f1=f1 if known else None,
        roc_auc=roc_auc(probabilities, label) if known else None,
        average_precision=average_precision(probabilities, label) if known else None,
        false_alarm_share=float(found[~label].mean()),
        calibration_error=expected_calibration_error(probabilities, label),
        types=tuple(types),
        outcomes=tuple(outcomes),
    )


def type_metrics(name: str, number: int, found: Sequence[ByteArray], truth: Sequence[ByteArray]) -> TypeMetrics:
    """Pixels labelled `number` in `found` against `truth`, all images taken together."""
    hits = [int(((f == number) & (t == number)).sum()) for f, t in zip(found, truth, strict=True)]
    claimed = sum(int((f == number).sum()) for f in found)
    actual = [int((t == number).sum()) for t in truth]
    precision, recall, f1, iou = _metrics(sum(hits), claimed, sum(actual))
    return TypeMetrics(name, sum(count > 0 for count in actual), precision, recall, f1, iou)


def roc_auc(scores: _Floats, label: _Labels) -> float:
    """Probability that an anomalous image outscores a normal one, ties counting half."""
    positive, negative = scores[label][:, None], scores[~label][None]
    return float((positive > negative).mean() + 0.5 * (positive == negative).mean())


def average_precision(scores: _Floats, label: _Labels) -> float:
    """Mean precision at each rank where an anomalous image appears; tied images share their last rank."""
    above = (scores[None] >= scores[label][:, None]).astype(float)
    return float(((above * label).sum(axis=1) / above.sum(axis=1)).mean())


def expected_calibration_error(probabilities: _Floats, label: _Labels) -> float:
    """Mean gap between the anomaly probability and how often it came true, over ten bins of equal width (Naeini et al.
    2015), each weighing as many images as it holds."""
    bins = np.minimum((np.asarray(probabilities) * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((probabilities[bins == b] - label[bins == b]).sum())) for b in range(_BINS)]
    return sum(gaps) / len(label)


def _overlap_metrics(found: _Labels, truth: _Labels) -> tuple[float, float, float, float]:
    return _metrics(int((found & truth).sum()), int(found.sum()), int(truth.sum()))


def _metrics(hits: int, claimed: int, actual: int) -> tuple[float, float, float, float]:
    """Precision, recall, F1, intersection over union; 0 where nothing was claimed."""
    precision, recall = hits / max(claimed, 1), hits / max(actual, 1)
    return precision, recall, 2 * hits / max(claimed + actual, 1), hits / max(claimed + actual - hits, 1)
