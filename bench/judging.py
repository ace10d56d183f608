"""What a model says of labelled images, in the figures that every bench of accuracy prints."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.calibration import log_odds, probability
from relook.detection.model import Look, Model
from relook.detection.package import ModelManifest
from relook.learning.data.samples import LabeledImage
from relook.learning.validation.metrics import average_precision, expected_calibration_error, overlap, roc_auc


@dataclass(frozen=True, eq=False)
class Judgement:
    """Of n images, at the model's own threshold.

    Attributes:
        label: (n,) bool, what is true.
        odds: (n,) log odds of being anomalous, which tell apart what as probabilities is one.
        probabilities: (n,) of being anomalous.
        is_detected: (n,) bool, the verdicts.
    """

    label: NDArray[np.bool_]
    odds: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    is_detected: NDArray[np.bool_]

    @property
    def auroc(self) -> float:
        """Area under the ROC curve of the odds."""
        return roc_auc(self.odds, self.label)

    @property
    def aupr(self) -> float:
        """Average precision of the odds; an anomaly is the positive class."""
        return average_precision(self.odds, self.label)

    @property
    def f1(self) -> float:
        """Of the verdicts, 0..1."""
        return overlap(self.is_detected, self.label).f1

    @property
    def ece(self) -> float:
        """Expected calibration error of the probabilities, 0..1."""
        return expected_calibration_error(self.probabilities, self.label)

    @property
    def false_alarms(self) -> float:
        """Share of the normal images."""
        return float(self.is_detected[~self.label].mean())

    def only(self, chosen: NDArray[np.bool_]) -> Judgement:
        """Of some of the images."""
        return Judgement(self.label[chosen], self.odds[chosen], self.probabilities[chosen], self.is_detected[chosen])


def judge(model: Model, images: Sequence[LabeledImage]) -> Judgement:
    """Let it look at images it was not trained on."""
    return judgement([model.look(image.read()) for image in images], images, model.manifest)


def judgement(looks: Sequence[Look], images: Sequence[LabeledImage], manifest: ModelManifest) -> Judgement:
    """Of what it saw in the images."""
    probabilities = np.array([probability(look.scores, manifest.calibration) for look in looks])
    return Judgement(
        label=np.array([image.is_anomalous for image in images]),
        odds=np.array([log_odds(look.scores, manifest.calibration) for look in looks]),
        probabilities=probabilities,
        is_detected=probabilities >= manifest.threshold,
    )
