"""Verdicts on images that took no part in fitting them: head and calibration are cross-fitted too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.calibration import probability
from relook.detection.package import Calibration
from relook.learning.estimators.calibration import THRESHOLD, fit_from_normals, fit_platt, fit_safety_net
from relook.learning.estimators.classifier import Classifier, fit_classifier

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]
_Indices = NDArray[np.intp]


MIN_ANOMALIES_TO_LEARN = 5  # with five about as good as one class alone, with eight better (docs/engine.md)
_MIN_FOLDS_WITH_ANOMALIES = 3  # each held-back anomaly is judged by those of two other folds or more

Calibrations = tuple[Calibration, ...]
"""One per score of the graph, as `probability` takes them."""


def calibrate_from_normals(normal_scores: _Floats) -> Calibrations:
    """The one-class score alone, when there is too little to learn a head from."""
    return (fit_from_normals(normal_scores),)


def calibrate_with_head(one_class: _Floats, head_scores: _Floats, is_anomalous: _Labels) -> Calibrations:
    """The head decides; the one-class score overrules it where an image is odder than any normal should be."""
    return (fit_safety_net(one_class[~is_anomalous]), fit_platt(head_scores, is_anomalous))


@dataclass(frozen=True)
class HeldBackVerdicts:
    """Verdicts whose every part, calibration included, was fitted without the image's fold.

    Attributes:
        probabilities: (n,) of being anomalous.
        head_scores: (n,), None without a head.
    """

    probabilities: _Floats
    head_scores: _Floats | None

    @property
    def is_detected(self) -> _Labels:
        """(n,) called anomalous."""
        detected: _Labels = self.probabilities >= THRESHOLD
        return detected

    def error(self, is_anomalous: _Labels) -> float:
        """Mean of the shares of normal and of anomalous images that are judged wrongly."""
        wrong = self.is_detected != is_anomalous
        return float(wrong[is_anomalous].mean() + wrong[~is_anomalous].mean()) / 2


def verdicts_from_normals(one_class: _Floats, is_anomalous: _Labels, folds: _Indices) -> HeldBackVerdicts:
    """With the one-class score alone."""
    probabilities = np.empty(len(folds))
    for fold in np.unique(folds):
        calibration = calibrate_from_normals(one_class[(folds != fold) & ~is_anomalous])
        for index in np.flatnonzero(folds == fold):
            probabilities[index] = probability([one_class[index]], calibration)
    return HeldBackVerdicts(probabilities, None)


def verdicts_with_head(
    one_class: _Floats, evidence: _Floats, groups: Sequence[int], is_anomalous: _Labels, folds: _Indices
) -> HeldBackVerdicts:
    """With a head per fold, calibrated on scores of heads that lacked one fold more."""
    probabilities, scores = np.empty(len(folds)), np.empty(len(folds))
    for fold in np.unique(folds):
        rest, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inner = held_back_head_scores(evidence[rest], groups, is_anomalous[rest], folds[rest])
        calibration = calibrate_with_head(one_class[rest], inner, is_anomalous[rest])
        scores[held] = fit_classifier(evidence[rest], groups, is_anomalous[rest])(evidence[held])
        for index in held:
            probabilities[index] = probability([one_class[index], scores[index]], calibration)
    return HeldBackVerdicts(probabilities, scores)


def held_back_head_scores(evidence: _Floats, groups: Sequence[int], is_anomalous: _Labels, folds: _Indices) -> _Floats:
    """(n,) scores by heads of the other folds."""
    scores = np.empty(len(folds))
    for fold in np.unique(folds):
        rest = folds != fold
        scores[~rest] = fit_classifier(evidence[rest], groups, is_anomalous[rest])(evidence[~rest])
    return scores


@dataclass(frozen=True)
class Decision:
    """The calibration that ships, the classifier under it, and the verdicts of its cross-fitted twins."""

    classifier: Classifier | None
    calibration: Calibrations
    verdicts: HeldBackVerdicts


def decide(
    is_anomalous: _Labels, folds: _Indices, one_class: _Floats, columns: FloatArray, groups: Sequence[int]
) -> Decision:
    """With a classifier where there are anomalies enough, and it errs less on held-back images than normals alone do.

    Args:
        one_class: (n,) scores of held-back images; `columns`: (n, k) evidence of them, in consecutive `groups`.
    """
    alone = verdicts_from_normals(one_class, is_anomalous, folds)
    if can_learn_from(is_anomalous, folds):
        verdicts = verdicts_with_head(one_class, columns, groups, is_anomalous, folds)
        if verdicts.error(is_anomalous) < alone.error(is_anomalous):
            assert verdicts.head_scores is not None
            calibration = calibrate_with_head(one_class, verdicts.head_scores, is_anomalous)
            return Decision(fit_classifier(columns, groups, is_anomalous), calibration, verdicts)
    return Decision(None, calibrate_from_normals(one_class[~is_anomalous]), alone)


def can_learn_from(is_anomalous: _Labels, folds: _Indices) -> bool:
    """Whether there are five anomalies or more, in three folds or more."""
    spread = len(np.unique(folds[is_anomalous])) >= _MIN_FOLDS_WITH_ANOMALIES
    return bool(is_anomalous.sum() >= MIN_ANOMALIES_TO_LEARN) and spread
