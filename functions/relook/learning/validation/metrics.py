"""How good answers are, of arrays alone. An anomaly is the positive class; every metric is 0..1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]
_BINS = 10  # as is usual for this error


@dataclass(frozen=True)
class Overlap:
    """What was found against what is true; 0 where there is nothing to divide by."""

    precision: float
    recall: float
    f1: float
    iou: float


def roc_auc(scores: _Floats, label: _Labels) -> float:
    """Probability that an anomalous image outscores a normal one, ties counting half."""
    normal = np.sort(scores[~label])
    below, up_to = (np.searchsorted(normal, scores[label], side) for side in ("left", "right"))
    return float((below + up_to).mean() / (2 * len(normal)))


def average_precision(scores: _Floats, label: _Labels) -> float:
    """Mean precision at each rank where an anomalous image appears; tied images share their last rank."""
    anomalous = scores[label]
    # How many score as high, of the anomalous ones and of all
    hits, above = (len(each) - np.searchsorted(np.sort(each), anomalous) for each in (anomalous, scores))
    return float((hits / above).mean())


def expected_calibration_error(probabilities: _Floats, label: _Labels) -> float:
    """Mean gap between the anomaly probability and how often it came true, over ten bins of equal width (Naeini et al.
    2015), each weighing as many images as it holds."""
    bins = np.minimum((np.asarray(probabilities) * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((probabilities[bins == b] - label[bins == b]).sum())) for b in range(_BINS)]
    return sum(gaps) / len(label)


def overlap(predicted: _Labels, truth: _Labels) -> Overlap:
    """Of two equally shaped answers, images' or pixels'."""
    return _overlap(int((predicted & truth).sum()), int(predicted.sum()), int(truth.sum()))


def type_overlap(number: int, predicted: Sequence[ByteArray], truth: Sequence[ByteArray]) -> Overlap:
    """Pixels labelled `number` in `predicted` against `truth`, all images taken together."""
    hits = sum(int(((p == number) & (t == number)).sum()) for p, t in zip(predicted, truth, strict=True))
    claimed, actual = (sum(int((labels == number).sum()) for labels in each) for each in (predicted, truth))
    return _overlap(hits, claimed, actual)


def _overlap(hits: int, claimed: int, actual: int) -> Overlap:
    precision, recall = hits / max(claimed, 1), hits / max(actual, 1)
    f1, iou = 2 * hits / max(claimed + actual, 1), hits / max(claimed + actual - hits, 1)
    return Overlap(precision, recall, f1, iou)
