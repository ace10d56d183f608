"""Ways of looking that differ from product to product, chosen on the training images by cross-validation.

Alignment: as they are, turned and shifted a little, or lying anyhow. Scorer: objects, where a place says what belongs
there, or textures, where the same may be anywhere. Each way is scored by how well models of the other folds tell
held-back normal images from anomalies: the labelled ones, or defects painted on held-back normals. Source of the rules:
our own measurements. Painted defects choose poses well and scorers badly; without labelled anomalies the scorer follows
from how much of the features' variance the place in the picture explains.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.package import Choice
from relook.detection.session import TRAINING_THREADS
from relook.learning.data.synthesis import paint_defect
from relook.learning.data.training_set import OnProgress, TrainingSet
from relook.learning.estimators.alignment import (
    ANY_DEG,
    SLIGHT_DEG,
    Alignment,
    align,
    fit_alignment,
    likeness_as_they_are,
)
from relook.learning.estimators.evidence import SCORERS, Scorer
from relook.learning.validation.crossfit import Features, fit_evidence, held_back_maps
from relook.learning.validation.metrics import roc_auc

_TRIED_ON = 40
_FOLDS = 4
_MIN_ANOMALIES = 10
_BELIEVABLE = 0.85
_SETTLED = 0.95
_RISE = 0.05
_GAIN = 0.01
_GAIN_OF_A_POSE = 0.04
_PLACE_MATTERS = 0.25
_LEADING, _BORDER = 20, 8
_DEAD = 1e-6

Whiten = Callable[[ByteArray, NDArray[np.bool_], Alignment | None], NDArray[np.float32]]
"""Whitened features of pixels that were aligned so; the whitening is fitted on those the mask marks."""


@dataclass(frozen=True)
class Ways:
    """What was chosen.

    Attributes:
        choices: with the scores that decided, for people.
    """

    alignment: Alignment | None
    scorer: Scorer
    choices: tuple[Choice, ...]


@dataclass(frozen=True)
class _Tried:
    """AUROC of each scorer, if that was asked, and how much of the features' variance the place in the picture says."""

    scores: dict[str, float]
    place: float


@dataclass(frozen=True)
class _Trial:
    """A few images that all ways are tried on: normals, then anomalies."""

    pixels: ByteArray
    is_normal: NDArray[np.bool_]
    folds: NDArray[np.intp]
    anomalies: str
    is_labelled: bool


def choose_ways(
    data: TrainingSet,
    folds: NDArray[np.intp],
    whiten: Whiten,
    generator: np.random.Generator,
    on_progress: OnProgress,
) -> Ways:
    """Try what is believable; stay with the plain way, objects as they are, unless another is clearly better."""
    normals = data.pixels[~data.is_anomalous]
    trial = _trial(data, folds, generator)
    likeness = {"none": float(likeness_as_they_are(normals).mean())}
    alignments: dict[str, Alignment | None] = {"none": None}
    for name, reach in (("slight", SLIGHT_DEG), ("any angle", ANY_DEG)):
        fitted, likeness[name] = fit_alignment(normals, reach, data.aspect, TRAINING_THREADS)
        on_progress("choosing a way to look", len(likeness) - 1, 3)
        others = max(value for other, value in likeness.items() if other != name)
        if likeness[name] >= max(_BELIEVABLE, others + _RISE):
            alignments[name] = fitted
        if likeness[name] >= _SETTLED:
            break
    # Without labels the scorer does not follow from scores: with one pose to choose from they would decide nothing
    is_judged = trial.is_labelled or len(alignments) > 1
    tried = {name: _try(trial, fitted, whiten, generator, is_judged=is_judged) for name, fitted in alignments.items()}
    on_progress("choosing a way to look", 3, 3)
    against = f"AUROC against {trial.anomalies}"
    correlation = f"correlation of the normal images with the template, tried from {_BELIEVABLE} on"
    chosen, pose = "none", Choice("alignment", "none", correlation, likeness)
    if len(alignments) > 1:
        best = {name: max(found.scores.values()) for name, found in tried.items()}
        for name in alignments:
            if best[name] > best[chosen] + _GAIN_OF_A_POSE:
                chosen = name
        pose = Choice("alignment", chosen, against, best)
    place, scores = tried[chosen].place, tried[chosen].scores
    scorer = "object" if place >= _PLACE_MATTERS else "texture"
    why = f"variance said by the place, object from {_PLACE_MATTERS} on", {"share": place}
    if trial.is_labelled:
        why = against, scores
        other = "texture" if scorer == "object" else "object"
        if scores[other] > scores[scorer] + _GAIN:
            scorer = other
    return Ways(alignments[chosen], SCORERS[scorer], (pose, Choice("scorer", scorer, *why)))


def _trial(data: TrainingSet, folds: NDArray[np.intp], generator: np.random.Generator) -> _Trial:
    normals, anomalies = np.flatnonzero(~data.is_anomalous), np.flatnonzero(data.is_anomalous)
    normals = normals[:: -(-len(normals) // _TRIED_ON)]
    if len(anomalies) >= _MIN_ANOMALIES:
        anomalies = anomalies[:: -(-len(anomalies) // _TRIED_ON)]
        against, others, name = data.pixels[anomalies], anomalies, "labelled anomalies"
    else:
        against = np.stack([paint_defect(data.pixels[i], generator) for i in normals])
        others, name = normals, "defects painted on held-back normals"
    members = np.concatenate([normals, others])
    rounds = np.unique(folds[normals], return_inverse=True)[1] % _FOLDS
    known = dict(zip(folds[normals].tolist(), rounds.tolist(), strict=True))
    return _Trial(
        pixels=np.concatenate([data.pixels[normals], against]),
        is_normal=np.arange(len(members)) < len(normals),
        folds=np.array([known.get(int(f), int(f) % _FOLDS) for f in folds[members]]),
        anomalies=name,
        is_labelled=others is anomalies,
    )


def _try(
    trial: _Trial, alignment: Alignment | None, whiten: Whiten, generator: np.random.Generator, *, is_judged: bool
) -> _Tried:
    shown = np.ones(len(trial.pixels), bool) if is_judged else trial.is_normal
    pixels = align(trial.pixels[shown], alignment, TRAINING_THREADS)[0] if alignment else trial.pixels[shown]
    is_normal = trial.is_normal[shown]
    whitened = whiten(pixels, is_normal, alignment)
    found: dict[str, float] = {}
    if is_judged:
        features = Features(whitened, is_normal, trial.folds, len(pixels))
        weights = [scorer.position_weight for scorer in SCORERS.values()]
        by_scorer, _ = held_back_maps(features, weights, generator, lambda *_: None)
        found = {
            name: roc_auc(fit_evidence(whitened, maps, ~is_normal, scorer).one_class, ~is_normal)
            for (name, scorer), maps in zip(SCORERS.items(), by_scorer, strict=True)
        }
    return _Tried(found, _said_by_place(whitened[is_normal]))


def _said_by_place(normals: FloatArray) -> float:
    """Share 0..1 of the leading features' variance in (n, d, 64, 64) normal images that the place explains.

    Cells near the border are left out, where the backbone sees that there is one.
    """
    cells = normals[:, :_LEADING, _BORDER:-_BORDER, _BORDER:-_BORDER]
    between = cells.mean(axis=0).var(axis=(1, 2)) - cells.var(axis=0).mean(axis=(1, 2)) / len(cells)
    total = cells.var(axis=(0, 2, 3))
    alive = total > _DEAD  # some backbones have features that never say anything
    return float((between[alive] / total[alive]).mean()) if alive.any() else 1.0
