"""What models say of images they did not learn from: the ground that thresholds and metrics stand on.

In every round the same models judge the held-back normals and the held-back anomalies. (Judging anomalies with models
that saw all normals, and normals with models that did not, makes anomalies look odder than they are.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.data.training_set import OnProgress
from relook.learning.estimators.evidence import average_map, evidence, fit_scale, held_back_scaled, image_score, usual
from relook.learning.estimators.looks import Look, Scale, log_maps
from relook.learning.estimators.normality import (
    CellSums,
    Gaussians,
    Grid,
    Memory,
    fit_gaussians,
    fit_memory,
    fit_whitening,
)
from relook.learning.recipe import Recipe

_WHITENING_SAMPLES = 60_000
_CHUNK = 32  # images whose features are worked on at once

_Labels = NDArray[np.bool_]
_Indices = NDArray[np.intp]
_Half = NDArray[np.float16]


@dataclass(frozen=True)
class Features:
    """Features of all images, then of altered copies of normal ones, which are learnt from but not judged.

    Attributes:
        looks: (n + copies, cells, channels) float16 of each look.
        grids: of each look.
        is_normal: (n + copies,).
        folds: (n + copies,); a copy is in the fold of its image.
        count: n.
    """

    looks: list[_Half]
    grids: list[Grid]
    is_normal: _Labels
    folds: _Indices
    count: int


@dataclass(frozen=True)
class HeldBack:
    """What is known of the images themselves from models without their fold.

    Attributes:
        looks: fitted on all normals.
        whitened: (n, cells, d) of the first look.
        maps: (n, height, width) of each map of each look, on the scale of normal images.
        average: (n, height, width).
        one_class: (n,) the score that needs no labelled anomaly.
    """

    looks: list[Look]
    whitened: FloatArray
    maps: list[FloatArray]
    average: FloatArray
    one_class: FloatArray

    def evidence(self) -> list[FloatArray]:
        """Groups of columns for the classifier."""
        return evidence(self.average, self.maps, self.whitened, self.looks[0].grid)


def hold_back(features: Features, recipe: Recipe, generator: np.random.Generator, on_progress: OnProgress) -> HeldBack:
    """Fit every look on all normals, and on those of all folds but one in turn."""
    fitted = [
        _hold_back(look, grid, features, recipe, generator, on_progress)
        for look, grid in zip(features.looks, features.grids, strict=True)
    ]
    maps = [each for _, fold, _ in fitted for each in fold]
    average = average_map(maps)
    return HeldBack([look for look, _, _ in fitted], fitted[0][2], maps, average, image_score(average))


def _hold_back(
    look: _Half, grid: Grid, features: Features, recipe: Recipe, generator: np.random.Generator, on_progress: OnProgress
) -> tuple[Look, list[FloatArray], FloatArray]:
    normals, folds = np.flatnonzero(features.is_normal), features.folds
    originals = normals[normals < features.count]
    each = max(1, _WHITENING_SAMPLES // len(normals))
    drawn = [look[i, generator.permutation(grid.cells)[:each]].astype(np.float32) for i in normals]
    sample = np.concatenate(drawn)
    whitening = fit_whitening(sample, recipe.dimensions)
    spread = sample.std(axis=0) + 1e-3
    whitened = np.empty((*look.shape[:2], whitening.matrix.shape[1]), np.float32)
    for start in range(0, len(look), _CHUNK):
        whitened[start : start + _CHUNK] = whitening(look[start : start + _CHUNK].astype(np.float32))
    rounds = np.unique(folds)
    sums = [CellSums.of(whitened[(folds == fold) & features.is_normal], grid) for fold in rounds]
    total = reduce(add, sums)

    def fit(without: int | None) -> tuple[Gaussians, Memory | None]:
        known = total if without is None else total - sums[without]
        gaussians = fit_gaussians(known, grid)
        if not recipe.memory:
            return gaussians, None
        # Of the images as they are: copies would crowd the bank with what is nearly in it (ground metal lost .05)
        taken = originals if without is None else originals[folds[originals] != rounds[without]]
        return gaussians, fit_memory(look, taken, spread, generator)

    logs: list[FloatArray] = []
    for number, fold in enumerate(rounds):
        gaussians, memory = fit(number)
        held = np.flatnonzero(folds == fold)
        for start in range(0, len(held), _CHUNK):
            some = held[start : start + _CHUNK]
            distances = log_maps(look[some].astype(np.float32), whitened[some], gaussians, memory)
            logs = logs or [np.empty((len(look), grid.height, grid.width), np.float32) for _ in distances]
            for into, values in zip(logs, distances, strict=True):
                into[some] = values
        on_progress("learning what is normal", number + 1, len(rounds))
    scales, maps = [], []
    for each_map in logs:
        scale, scaled = _on_scale(each_map, features.is_normal, recipe.place_scales)
        scales.append(scale)
        maps.append(scaled[: features.count])
    gaussians, memory = fit(None)
    return Look(grid, whitening, gaussians, memory, tuple(scales)), maps, whitened[: features.count]


def _on_scale(logs: FloatArray, is_normal: _Labels, by_place: bool) -> tuple[Scale, FloatArray]:
    """The scale of the normal ones' (n, height, width) log maps, copies too, and all maps on it.

    What a copy reads at a place may be read there: flat, overexposed background would else alarm when it is re-encoded.
    """
    normals = np.flatnonzero(is_normal)
    is_usual = usual(logs[normals])
    scale = fit_scale(logs[normals], is_usual, by_place=by_place)
    scaled = scale(logs)
    if by_place:
        scaled[normals] = held_back_scaled(logs[normals], is_usual)
    return scale, scaled


def columns_of(groups: Sequence[FloatArray]) -> tuple[FloatArray, list[int]]:
    """Groups of evidence side by side, and how many columns each has."""
    return np.concatenate(groups, axis=1), [each.shape[1] for each in groups]
