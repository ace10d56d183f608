"""The account training gives of itself: what models that did not see an image say of it, and which images look odd."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray

from relook.detection.package import AnomalyClass
from relook.detection.rendering import label_pixels
from relook.detection.view import Cut
from relook.float32 import exact_float32
from relook.learning.data.training_set import TrainingSet
from relook.learning.estimators.calibration import THRESHOLD, median_and_spread
from relook.learning.estimators.verdicts import HeldBackVerdicts
from relook.learning.validation.evaluation import Evaluation, ImageOutcome, TypeMetrics, evaluate, type_metrics
from relook.learning.validation.types import HeldBackTypes

PROTOCOL = (
    "Cross-fitted on the training images: each is judged by a model and calibration fitted without its fold "
    "(up to 8 folds, near-duplicates together). Fitted on all: where to look, the scales of maps and features, "
    "whether a classifier decides, and the types' pixel thresholds."
)
_ODD = 5.0  # usual spreads: twice as far as thresholds of many normals lie at most
_SEEMINGLY_NORMAL = 0.1  # anomaly probability: the model is nearly sure
_SHOWN = 5  # of each kind: a status message has to stay readable


def assess(
    data: TrainingSet,
    cuts: Sequence[Cut],
    one_class: NDArray[np.floating],
    verdicts: HeldBackVerdicts,
    types: HeldBackTypes | None,
    classes: tuple[AnomalyClass, ...],
) -> Evaluation:
    """Metrics and outcomes from what was said of held-back images; `one_class` are their (n,) scores."""
    center, spread = median_and_spread(one_class[~data.is_anomalous])
    outcomes = [
        ImageOutcome(image.name, image.is_anomalous, bool(detected), exact_float32(p), float(odd))
        for image, detected, p, odd in zip(
            data.images, verdicts.is_detected, verdicts.probabilities, (one_class - center) / spread, strict=True
        )
    ]
    overlaps = _assess_types(data, cuts, verdicts, types, classes)
    return evaluate(PROTOCOL, outcomes, verdicts.probabilities, overlaps)


def suspicious_images(evaluation: Evaluation) -> list[str]:
    """Images that look mislabelled, a sentence each: normal ones first, the worst of each kind first."""
    return [*_odd_normals(evaluation), *_normal_looking_anomalies(evaluation)]


def _odd_normals(evaluation: Evaluation) -> list[str]:
    normals = [outcome for outcome in evaluation.outcomes if not outcome.is_anomalous and outcome.oddness > _ODD]
    worst = sorted(normals, key=lambda outcome: (-outcome.oddness, outcome.name))[:_SHOWN]
    return [
        f"{outcome.name} is labelled normal but lies {outcome.oddness:.1f} usual spreads from the other normal images: "
        "check its label and framing"
        for outcome in worst
    ]


def _normal_looking_anomalies(evaluation: Evaluation) -> list[str]:
    """Those hardly suspected at all, or less than the median normal image."""
    usual = median(outcome.anomaly_probability for outcome in evaluation.outcomes if not outcome.is_anomalous)
    limit = min(max(_SEEMINGLY_NORMAL, usual), THRESHOLD)
    missed = [each for each in evaluation.outcomes if each.is_anomalous and each.anomaly_probability < limit]
    worst = sorted(missed, key=lambda outcome: (outcome.anomaly_probability, outcome.name))[:_SHOWN]
    return [
        f"{outcome.name} is labelled anomalous but looks normal (anomaly probability "
        f"{outcome.anomaly_probability:.1%}): check its label, and whether its defect can be seen"
        for outcome in worst
    ]


def _assess_types(
    data: TrainingSet,
    cuts: Sequence[Cut],
    verdicts: HeldBackVerdicts,
    types: HeldBackTypes | None,
    classes: tuple[AnomalyClass, ...],
) -> list[TypeMetrics]:
    """Over the images with masks, painted as detection would: nothing where the verdict is normal."""
    if types is None:
        return []
    predicted, truth = [], []
    for index, outline in data.outlines.items():
        thresholds = [c.threshold for c in classes]
        painted = label_pixels(types.probabilities[index], thresholds, cuts[index], *outline.shape)
        predicted.append(painted * np.uint8(verdicts.is_detected[index]))
        truth.append(outline)
    return [type_metrics(c.name, number, predicted, truth) for number, c in enumerate(classes, start=1)]
