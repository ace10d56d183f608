"""The account training gives of itself: what models that did not see an image say of it, and which images look odd."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relook.detection.calibration import median_and_spread
from relook.detection.crossfit import HeldBackTypes
from relook.detection.evaluation import Evaluation, ImageOutcome, TypeMetrics, evaluate, type_metrics
from relook.detection.package import AnomalyClass
from relook.detection.painting import label_pixels
from relook.detection.result import exact_float32
from relook.detection.training_set import TrainingSet
from relook.detection.verdicts import HeldBackVerdicts

PROTOCOL = (
    "Cross-fitted on the training images: each is judged by a model and calibration fitted without its fold "
    "(up to 8 folds, near-duplicates together). The scales of maps and features, and the types' pixel thresholds, are "
    "fitted on all."
)
_ODD = 6.0
_ODD_SHOWN = 5


def assess(
    data: TrainingSet,
    one_class: NDArray[np.floating],
    verdicts: HeldBackVerdicts,
    types: HeldBackTypes | None,
    classes: tuple[AnomalyClass, ...],
) -> Evaluation:
    """Metrics and outcomes from what was said of held-back images; `one_class` are their (n,) scores."""
    center, spread = median_and_spread(one_class[~data.is_anomalous])
    outcomes = [
        ImageOutcome(
            image.name, image.is_anomalous, bool(detected), exact_float32(p if detected else 1 - p), float(odd)
        )
        for image, detected, p, odd in zip(
            data.images, verdicts.is_detected, verdicts.probabilities, (one_class - center) / spread, strict=True
        )
    ]
    return evaluate(PROTOCOL, outcomes, verdicts.probabilities, _assess_types(data, verdicts, types, classes))


def odd_normals(evaluation: Evaluation) -> list[str]:
    """The images labelled normal that look least so, worst first."""
    normals = [outcome for outcome in evaluation.outcomes if not outcome.is_anomalous and outcome.oddness > _ODD]
    worst = sorted(normals, key=lambda outcome: (-outcome.oddness, outcome.name))[:_ODD_SHOWN]
    return [
        f"{outcome.name} is labelled normal but lies {outcome.oddness:.1f} usual spreads from the other normal images: "
        "check its label and framing"
        for outcome in worst
    ]


def _assess_types(
    data: TrainingSet, verdicts: HeldBackVerdicts, types: HeldBackTypes | None, classes: tuple[AnomalyClass, ...]
) -> list[TypeMetrics]:
    """Over the images with masks, painted as detection would: nothing where the verdict is normal."""
    if types is None:
        return []
    found, truth = [], []
    for index, outline in data.outlines.items():
        painted = label_pixels(types.probabilities[index], [c.threshold for c in classes], *outline.shape)
        found.append(painted * np.uint8(verdicts.is_detected[index]))
        truth.append(outline)
    return [type_metrics(c.name, number, found, truth) for number, c in enumerate(classes, start=1)]
