"""What models say of images they did not learn from: the ground that thresholds and metrics stand on.

In every round the same models judge the held-back normals and the held-back anomalies. (Judging anomalies with models
that saw all normals, and normals with models that did not, makes anomalies look odder than they are.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from operator import add

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.data.training_set import OnProgress
from relook.learning.estimators.evidence import average_map, evidence, fit_scale, held_back_scaled, image_score, usual
from relook.learning.estimators.looks import Look, Scale, leveled, log_maps
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

_WHITENING_SAMPLES = 60_000  # cells of all images: hundreds for each of a covariance's channels
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
        kept: (n + copies, height, width) of each look, 0 for a cell that is ignored; None where nothing is.
    """

    looks: list[_Half]
    grids: list[Grid]
    is_normal: _Labels
    folds: _Indices
    count: int
    kept: list[FloatArray] | None = None


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
    all_kept = features.kept or repeat(None, len(features.grids))
    fitted = [
        _hold_back(look, grid, kept, features, recipe, generator, on_progress)
        for look, grid, kept in zip(features.looks, features.grids, all_kept, strict=True)
    ]
    maps = [each for _, fold, _ in fitted for each in fold]
    average = average_map(maps, features.kept[-1][: features.count] if features.kept else None)
    return HeldBack([look for look, _, _ in fitted], fitted[0][2], maps, average, image_score(average))


def _hold_back(
    look: _Half,
    grid: Grid,
    kept: FloatArray | None,
    features: Features,
    recipe: Recipe,
    generator: np.random.Generator,
    on_progress: OnProgress,
) -> tuple[Look, list[FloatArray], FloatArray]:
    normals, folds = np.flatnonzero(features.is_normal), features.folds
    originals = normals[normals < features.count]
    flat = None if kept is None else kept.reshape(len(look), grid.cells)
    each = max(1, _WHITENING_SAMPLES // len(normals))

    def drawn(index: int) -> _Indices:
        cells = generator.permutation(grid.cells)
        return cells if flat is None else cells[flat[index, cells] > 0]

    sample = np.concatenate([look[i, drawn(i)[:each]].astype(np.float32) for i in normals.tolist()])
    whitening = fit_whitening(sample, recipe.dimensions)
    spread = sample.std(axis=0) + 1e-3
    whitened = np.empty((*look.shape[:2], whitening.matrix.shape[1]), np.float32)
    for start in range(0, len(look), _CHUNK):
        whitened[start : start + _CHUNK] = whitening(look[start : start + _CHUNK].astype(np.float32))
    if flat is not None:
        whitened *= flat[..., None]
    rounds = np.unique(folds)
    learned = [np.flatnonzero((folds == fold) & features.is_normal) for fold in rounds]
    sums = [CellSums.of(whitened[some], grid, None if flat is None else flat[some]) for some in learned]
    total = reduce(add, sums)

    def fit(without: int | None) -> tuple[Gaussians, Memory | None]:
        known = total if without is None else total - sums[without]
        gaussians = fit_gaussians(known, grid)
        if not recipe.memory:
            return gaussians, None
        # Of the images as they are: copies would crowd the bank with what is nearly in it (ground metal lost .05)
        taken = originals if without is None else originals[folds[originals] != rounds[without]]
        return gaussians, fit_memory(look, taken, spread, generator, flat)

    logs: list[FloatArray] = []
    for number, fold in enumerate(rounds):
        gaussians, memory = fit(number)
        held = np.flatnonzero(folds == fold)
        for start in range(0, len(held), _CHUNK):
            some = held[start : start + _CHUNK]
            shown = None if kept is None else kept[some]
            distances = log_maps(look[some].astype(np.float32), whitened[some], gaussians, memory, shown)
            logs = logs or [np.empty((len(look), grid.height, grid.width), np.float32) for _ in distances]
            for into, values in zip(logs, distances, strict=True):
                into[some] = values
        on_progress("learning what is normal", number + 1, len(rounds))
    scales, maps = [], []
    for each_map in logs:
        scale, scaled = _on_scale(each_map, kept, features.is_normal, recipe.place_scales)
        scales.append(scale)
        maps.append(scaled[: features.count])
    gaussians, memory = fit(None)
    return Look(grid, whitening, gaussians, memory, tuple(scales)), maps, whitened[: features.count]


def _on_scale(
    logs: FloatArray, kept: FloatArray | None, is_normal: _Labels, by_place: bool
) -> tuple[Scale, FloatArray]:
    """The scale of the normal ones' (n, height, width) log maps, copies too, and all maps on it.

    What a copy reads at a place may be read there: flat, overexposed background would else alarm when it is re-encoded.
    """
    normals = np.flatnonzero(is_normal)
    shown = None if kept is None else kept[normals]
    is_usual = usual(logs[normals], shown)
    scale = fit_scale(logs[normals], is_usual, by_place=by_place, kept=shown)
    scaled = scale(logs)
    if by_place:
        scaled[normals] = held_back_scaled(logs[normals], is_usual, shown)
    return scale, leveled(scaled, kept)


def columns_of(groups: Sequence[FloatArray]) -> tuple[FloatArray, list[int]]:
    """Groups of evidence side by side, and how many columns each has."""
    return np.concatenate(groups, axis=1), [each.shape[1] for each in groups]
