"""Verdicts on images that took no part in fitting them: head and calibration are cross-fitted too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.calibration import probability
from relook.detection.package import Calibration
from relook.learning.data.training_set import TrainingSet
from relook.learning.estimators.calibration import THRESHOLD, fit_from_normals, fit_platt, fit_safety_net
from relook.learning.estimators.head import Head, fit_head
from relook.learning.validation.crossfit import Evidence, HeldBackTypes

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]
_Indices = NDArray[np.intp]


MIN_ANOMALIES_TO_LEARN = 5
_MIN_FOLDS_WITH_ANOMALIES = 3

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
        scores[held] = fit_head(evidence[rest], groups, is_anomalous[rest]).scores(evidence[held])
        for index in held:
            probabilities[index] = probability([one_class[index], scores[index]], calibration)
    return HeldBackVerdicts(probabilities, scores)


def held_back_head_scores(evidence: _Floats, groups: Sequence[int], is_anomalous: _Labels, folds: _Indices) -> _Floats:
    """(n,) scores by heads of the other folds."""
    scores = np.empty(len(folds))
    for fold in np.unique(folds):
        rest = folds != fold
        scores[~rest] = fit_head(evidence[rest], groups, is_anomalous[rest]).scores(evidence[~rest])
    return scores


@dataclass(frozen=True)
class Decision:
    """The calibration that ships, the head under it, and the verdicts of its cross-fitted twins."""

    head: Head | None
    calibration: Calibrations
    verdicts: HeldBackVerdicts

    def with_alarm(self, alarm: Calibration, scores: Mapping[int, float]) -> Decision:
        """One more score, which may only raise what the others say; known of some images only."""
        probabilities = self.verdicts.probabilities.copy()
        for index, score in scores.items():
            probabilities[index] = max(probabilities[index], probability([score], [alarm]))
        verdicts = replace(self.verdicts, probabilities=probabilities)
        return replace(self, calibration=(*self.calibration, alarm), verdicts=verdicts)


def decide(data: TrainingSet, folds: NDArray[np.intp], evidence: Evidence, types: HeldBackTypes | None) -> Decision:
    """With a head when enough anomalies, in enough folds, are labelled to learn from."""
    label, one_class = data.is_anomalous, evidence.one_class
    enough = label.sum() >= MIN_ANOMALIES_TO_LEARN and len(np.unique(folds[label])) >= _MIN_FOLDS_WITH_ANOMALIES
    if not enough:
        if label.any():
            data.notes.append(
                f"{int(label.sum())} anomalous images are too few or too alike to learn from: they only check the model"
            )
        return Decision(None, calibrate_from_normals(one_class[~label]), verdicts_from_normals(one_class, label, folds))
    columns, groups = head_columns(evidence.standard, evidence.texture, types.peaks if types else None)
    verdicts = verdicts_with_head(one_class, columns, groups, label, folds)
    assert verdicts.head_scores is not None
    return Decision(
        fit_head(columns, groups, label), calibrate_with_head(one_class, verdicts.head_scores, label), verdicts
    )


def head_columns(standard: FloatArray, texture: FloatArray, peaks: FloatArray | None) -> tuple[FloatArray, list[int]]:
    """What the head sees, as `Engine.graph` lays it out, and the groups its columns fall in."""
    mean, spread = np.split(texture, 2, axis=1)
    parts = [np.sign(standard) * np.log1p(np.abs(standard)), mean, spread, *([] if peaks is None else [peaks])]
    return np.concatenate(parts, axis=1).astype(np.float32), [part.shape[1] for part in parts]
