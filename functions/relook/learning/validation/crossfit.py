"""What models say of images they did not learn from: the ground that thresholds and metrics stand on.

In every round the same models judge the held-back normals and the held-back anomalies. (Judging anomalies with models
that saw all normals, and normals with models that did not, makes anomalies look odder than they are.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.session import TRAINING_THREADS, Session
from relook.learning.assembly import Eye, evidence_graph, pixel_features_graph, raw_maps_graph, types_graph
from relook.learning.data.training_set import OnProgress, TrainingSet
from relook.learning.estimators.calibration import median_and_spread
from relook.learning.estimators.evidence import STATISTICS_PER_MAP, Scale, Scorer, standardised
from relook.learning.estimators.normality import MAP_GRID, CellSums, Gaussians, Memory, fit_gaussians, fit_memory
from relook.learning.estimators.pixels import PixelModel, fit_pixel_model, sample_cells

_TYPE_ROUNDS = 4
_MIRRORED = ((1, -1), (-1, 1), (-1, -1))
"""Steps down and right of an image's mirrored views, of which one is learnt from too."""

_Labels = NDArray[np.bool_]
_Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Features:
    """Whitened features of all images, then of altered copies of normal ones, which are learnt from but not judged.

    Attributes:
        whitened: (n + copies, d, 64, 64).
        is_normal: (n + copies,).
        folds: (n + copies,); a copy is in the fold of its image.
        count: n.
    """

    whitened: FloatArray
    is_normal: _Labels
    folds: _Indices
    count: int

    @property
    def judged(self) -> FloatArray:
        """(n, d, 64, 64) of the images themselves."""
        return self.whitened[: self.count]


def held_back_maps(
    features: Features, position_weights: Sequence[float], generator: np.random.Generator, on_progress: OnProgress
) -> tuple[list[FloatArray], CellSums]:
    """Gaussian and memory maps of every image by models of the other folds; the sums of all normals.

    Returns:
        (n, 2, 64, 64) maps for each of the memory's position weights.
    """
    whitened, normal, folds = features.whitened, features.is_normal, features.folds
    maps = [np.empty((features.count, 2, MAP_GRID, MAP_GRID), np.float32) for _ in position_weights]
    rounds = np.unique(folds)
    sums = [CellSums.of(whitened[(folds == fold) & normal]) for fold in rounds]
    total = sums[0]
    for part in sums[1:]:
        total = total + part
    for done, fold in enumerate(rounds):
        gaussians = fit_gaussians(total - sums[done])
        held = folds[: features.count] == fold
        for weight, into in zip(position_weights, maps, strict=True):
            memory = fit_memory(whitened, np.flatnonzero((folds != fold) & normal), weight, generator)
            into[held] = raw_maps(gaussians, memory, features.judged[held])
        on_progress("learning what is normal", done + 1, len(rounds))
    return maps, total


def raw_maps(gaussians: Gaussians, memory: Memory, whitened: FloatArray) -> FloatArray:
    """(n, 2, 64, 64) blurred Gaussian and memory log maps of (n, d, 64, 64)."""
    session = Session(raw_maps_graph(gaussians, memory), threads=TRAINING_THREADS)
    found = (session(whitened=whitened[i : i + 1]) for i in range(len(whitened)))
    return np.concatenate([np.concatenate([out["gaussian"], out["memory"]], axis=1) for out in found])


@dataclass(frozen=True)
class Evidence:
    """What maps and features of images come to, standardised on held-back normals.

    Attributes:
        map_scales: (64, 64) each, of the Gaussian and the memory log map.
        average: (n, 64, 64) anomaly maps.
        standard: (n, 15) standardised statistics.
        texture: (n, 2 d).
        one_class: (n,) the score that needs no labelled anomaly.
    """

    map_scales: tuple[Scale, Scale]
    statistics_scale: Scale
    average: FloatArray
    standard: FloatArray
    texture: FloatArray
    one_class: FloatArray


def fit_evidence(whitened: FloatArray, maps: FloatArray, is_anomalous: _Labels, scorer: Scorer) -> Evidence:
    """Find the scales of maps and statistics on the normals, and apply them to all.

    Args:
        maps: as `held_back_maps` gives them.
    """
    (gaussian, gaussian_scale), (memory, memory_scale) = (standardised(maps[:, k], is_anomalous) for k in (0, 1))
    average, statistics, texture = weigh(whitened, np.stack([gaussian, memory], axis=1))
    scale = Scale(*median_and_spread(statistics[~is_anomalous]))
    standard = (statistics - scale.center) / scale.spread
    one_class = standard[:, :STATISTICS_PER_MAP] @ np.array(scorer.weights)
    return Evidence((gaussian_scale, memory_scale), scale, average, standard, texture, one_class)


def weigh(whitened: FloatArray, maps: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Average maps (n, 64, 64), raw statistics (n, 15) and texture (n, 2 d), from standardised maps (n, 2, 64, 64)."""
    session = Session(evidence_graph(whitened.shape[1]), threads=TRAINING_THREADS)
    found = [
        session(whitened=whitened[i : i + 1], gaussian=maps[i : i + 1, :1], memory=maps[i : i + 1, 1:])
        for i in range(len(maps))
    ]
    average, statistics, texture = (
        np.concatenate([f[name] for f in found]) for name in ("map", "statistics", "texture")
    )
    return average[:, 0], statistics, texture


@dataclass(frozen=True)
class HeldBackTypes:
    """Type predictions by models that did not see the image.

    Attributes:
        peaks: (n, types) log odds, as `peak_nodes` gives them.
        probabilities: image index -> (types + 1, 128, 128), of images with masks.
        model: learnt from all images.
    """

    peaks: FloatArray
    probabilities: dict[int, FloatArray]
    model: PixelModel


def held_back_types(
    data: TrainingSet, eye: Eye, folds: _Indices, generator: np.random.Generator, on_progress: OnProgress
) -> HeldBackTypes:
    """Learn the pixels' types in four rounds, and once from all."""
    classes = len(data.types)
    session = Session(pixel_features_graph(eye), threads=TRAINING_THREADS)
    owners, rows, labels = [], [], []
    for index in range(len(data.images)):
        if index in data.outlines or not data.is_anomalous[index]:
            picture, coverage = data.pixels[index : index + 1], data.coverage(index)
            for down, right in ((1, 1), _MIRRORED[generator.integers(len(_MIRRORED))]):
                cells, numbers = sample_cells(np.ascontiguousarray(coverage[:, ::down, ::right]), generator)
                features = session(image=np.ascontiguousarray(picture[:, ::down, ::right]))["features"]
                rows.append(features.reshape(features.shape[1], -1)[:, cells].T)
                labels.append(numbers)
                owners.append(np.full(len(cells), index))
        on_progress("reading masks", index + 1, len(data.images))
    row, label, owner = np.concatenate(rows), np.concatenate(labels), np.concatenate(owners)
    rounds = folds % _TYPE_ROUNDS
    peaks = np.empty((len(data.images), classes), np.float32)
    probabilities = {}
    for held in range(int(rounds.max()) + 1):
        known = rounds[owner] != held
        fitted = fit_pixel_model(row[known], label[known], classes, generator)
        session = Session(types_graph(eye, fitted, classes), threads=TRAINING_THREADS)
        for index in np.flatnonzero(rounds == held).tolist():
            out = session(image=data.pixels[index : index + 1])
            peaks[index] = out["peaks"][0]
            if index in data.outlines:
                probabilities[index] = out["types"][0]
        on_progress("learning the types", held + 1, int(rounds.max()) + 2)
    model = fit_pixel_model(row, label, classes, generator)
    on_progress("learning the types", int(rounds.max()) + 2, int(rounds.max()) + 2)
    return HeldBackTypes(peaks, probabilities, model)
