"""Verdicts on images that took no part in fitting them: head, calibration and threshold are cross-fitted too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.calibration import (
    fit_from_normals,
    fit_platt,
    fit_safety_net,
    fit_threshold,
    probability,
)
from relook.detection.head import fit_head
from relook.detection.package import Calibration

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]
_Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Rule:
    """How scores become a verdict."""

    calibration: tuple[Calibration, ...]
    threshold: float


def rule_from_normals(normal_scores: _Floats) -> Rule:
    """The one-class score alone, when there is too little to learn a head from."""
    return Rule((fit_from_normals(normal_scores),), 0.5)


def fit_rule(one_class: _Floats, head_scores: _Floats, is_anomalous: _Labels) -> Rule:
    """The head decides; the one-class score overrules it where an image is odder than any normal should be."""
    head = fit_platt(head_scores, is_anomalous)
    threshold = fit_threshold(np.array([probability([s], [head]) for s in head_scores]), is_anomalous)
    return Rule((fit_safety_net(one_class[~is_anomalous], threshold), head), threshold)


@dataclass(frozen=True)
class HeldBackVerdicts:
    """Verdicts whose every part, threshold and calibration included, was fitted without the image's fold.

    Attributes:
        probabilities: (n,) of being anomalous.
        is_detected: (n,).
        head_scores: (n,), None without a head.
    """

    probabilities: _Floats
    is_detected: _Labels
    head_scores: _Floats | None


def verdicts_from_normals(one_class: _Floats, is_anomalous: _Labels, folds: _Indices) -> HeldBackVerdicts:
    """With the one-class score alone."""
    probabilities, detected = np.empty(len(folds)), np.empty(len(folds), bool)
    for fold in np.unique(folds):
        rule = rule_from_normals(one_class[(folds != fold) & ~is_anomalous])
        for index in np.flatnonzero(folds == fold):
            probabilities[index] = probability([one_class[index]], rule.calibration)
            detected[index] = probabilities[index] >= rule.threshold
    return HeldBackVerdicts(probabilities, detected, None)


def verdicts_with_head(
    one_class: _Floats, evidence: _Floats, groups: Sequence[int], is_anomalous: _Labels, folds: _Indices
) -> HeldBackVerdicts:
    """With a head per fold, calibrated on scores of heads that lacked one fold more."""
    probabilities, scores, detected = np.empty(len(folds)), np.empty(len(folds)), np.empty(len(folds), bool)
    for fold in np.unique(folds):
        rest, held = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        inner = held_back_head_scores(evidence[rest], groups, is_anomalous[rest], folds[rest])
        rule = fit_rule(one_class[rest], inner, is_anomalous[rest])
        scores[held] = fit_head(evidence[rest], groups, is_anomalous[rest]).scores(evidence[held])
        for index in held:
            probabilities[index] = probability([one_class[index], scores[index]], rule.calibration)
        detected[held] = probabilities[held] >= rule.threshold
    return HeldBackVerdicts(probabilities, detected, scores)


def held_back_head_scores(evidence: _Floats, groups: Sequence[int], is_anomalous: _Labels, folds: _Indices) -> _Floats:
    """(n,) scores by heads of the other folds."""
    scores = np.empty(len(folds))
    for fold in np.unique(folds):
        rest = folds != fold
        scores[~rest] = fit_head(evidence[rest], groups, is_anomalous[rest]).scores(evidence[~rest])
    return scores
