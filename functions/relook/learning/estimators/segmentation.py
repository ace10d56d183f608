"""The segmentation head: which type of anomaly every place shows, asked at the finest map of the backbone.

A small network looks at each cell of that map, at the coarser maps interpolated there, and at the coarsest one averaged
around. Its first layer is linear, as interpolation is; so it is computed where each map is small, and its sums travel
up. What is measured of it is in docs/engine.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.estimators.resampling import interpolation_matrix, window_matrix
from relook.learning.graph.layers import convolve, mean_filter, resize, softmax
from relook.learning.graph.tensor import Tensor
from relook.learning.graph.xp import ArrayT, xp

_CONTEXT_CELLS = 5
"""Of the coarsest map: IoU on cookies .72 without, .75 with them; 3, 7 and such means of finer maps gain no more."""
_HIDDEN = (32, 16)
"""Of cells; 64 units gain less than .01."""
_STEPS, _BATCH = 600, 512
"""However many images there are, so training takes no longer for more; 800 steps gain nothing on cookies."""
_RATE, _DECAY, _DROPOUT = 5e-3, 1e-2, np.float32(0.1)
"""The rate falls to 0, so it begins high; AdamW's usual decay; dropout of .2 told less."""
_SLICE = 16
"""Rows a matrix product: so few stay on one thread, where BLAS would spend more time on waking others than on it."""
_PER_TYPE, _NEAR, _ELSEWHERE = 250, 250, 500  # cells of an image; 500 elsewhere instead of 250 gained .01 of IoU
_ENOUGH_IMAGES = 100
"""With their cells the steps are busy; of more images fewer each are drawn, and memory does not grow."""
_NEAR_CELLS = 4  # around a defect: what looks most like it and is not
_COVERED = 0.3  # of a cell, or half of the best covered one: a thin scratch fills none
_THRESHOLDS = 1 / (1 + np.exp(-np.arange(-3, 3.1, 0.25)))  # in even steps of log odds, from .05 to .95
_AS_GOOD = 0.02
"""Overlaps that differ by so little do not differ: of their thresholds the middle one."""


@dataclass(frozen=True)
class SegmentationHead:
    """Weights of the network; the standardisation of its input is folded into the first layer.

    Attributes:
        layers: (weights (inputs, outputs), bias (outputs,)) in order; inputs of the first as `gather` orders them,
            outputs of the last are background and types.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]

    def __call__(self, maps: Sequence[Tensor]) -> Tensor:
        """Probabilities, (n, classes + 1, height, width) of the finest map, background first.

        Args:
            maps: of the backbone, (n, channels, height, width) each, the finest first.
        """
        (first, bias), *rest = self.layers
        seen = [*maps, mean_filter(maps[-1], _CONTEXT_CELLS)]
        shares = np.split(first, np.cumsum([each.shape[1] for each in seen])[:-1])
        x = _pointwise(seen[-1], shares[-1], bias)
        for each, weights in zip(seen[-2::-1], shares[-2::-1], strict=True):
            x = resize(x, each.shape[2], each.shape[3]) + _pointwise(each, weights)
        for weights, offsets in rest:
            x = _pointwise(xp.maximum(x, 0), weights, offsets)
        return softmax(x, 1)


def peaks(types: ArrayT) -> ArrayT:
    """(n, classes): how strongly each type shows anywhere: log odds of the fourth-power mean of its probabilities.

    Between the mean, which small anomalies do not move, and the maximum, which a single cell sets.
    Args:
        types: (n, classes + 1, height, width), as a head gives them.
    """
    mean = xp.sqrt(xp.sqrt(xp.mean(xp.square(xp.square(types[:, 1:])), (2, 3))))
    bounded = xp.clip(mean, 1e-4, 1 - 1e-4)
    return xp.log(bounded / (1.0 - bounded))


def gather(maps: Sequence[NDArray[np.floating]], cells: NDArray[np.intp]) -> FloatArray:
    """(cells, features) that a head sees there: each map interpolated to the finest from the next finer to the next.

    Args:
        maps: (channels, height, width) of one image, the finest first.
        cells: indices into the flattened finest map.
    """
    row, column = np.divmod(cells, maps[0].shape[2])
    down, right = (_paths([each.shape[axis] for each in maps]) for axis in (1, 2))
    parts = [maps[0][:, row, column].T.astype(np.float32)]
    for each, rows, columns in zip([*maps[1:], maps[-1]], down[1:], right[1:], strict=True):
        # Columns come first, so that what belongs to a cell lies together in memory
        wide = columns @ each.transpose(2, 1, 0).astype(np.float32).reshape(each.shape[2], -1)
        own = wide.reshape(len(wide), each.shape[1], each.shape[0])[column]
        parts.append((rows[row][:, None] @ own)[:, 0])
    return np.concatenate(parts, axis=1)


def sample_cells(
    coverage: FloatArray, generator: np.random.Generator, *, images: int = 1
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cells of one image to learn from: up to 250 of each type, 250 next to anomalies, 500 elsewhere.

    Args:
        coverage: (classes, height, width) share of each cell that the mask paints; all 0 for a normal image.
        images: how many are learnt from; of many, fewer cells each.
    Returns:
        indices into the flattened grid, and their labels, 0 background. Cells on an outline are left out.
    """
    flat = coverage.reshape(len(coverage), -1)
    painted, most = coverage.sum(axis=0) > 0, flat.max(axis=0)
    # A scratch thinner than a cell never covers one: then its best covered cells are the examples
    groups = [
        (np.flatnonzero((share > 0) & (share >= min(_COVERED, 0.5 * share.max())) & (share == most)), _PER_TYPE, label)
        for label, share in enumerate(flat, start=1)
    ]
    near = _grown(painted, _NEAR_CELLS)
    groups += [(np.flatnonzero(near & ~painted), _NEAR, 0), (np.flatnonzero(~near), _ELSEWHERE, 0)]
    share_drawn = min(1.0, _ENOUGH_IMAGES / images)
    drawn = [(generator.permutation(cells)[: round(share_drawn * quota)], label) for cells, quota, label in groups]
    labels = [np.full(len(cells), label, np.intp) for cells, label in drawn]
    return np.concatenate([cells for cells, _ in drawn]).astype(np.intp), np.concatenate(labels)


def fit_segmentation(
    features: FloatArray, labels: NDArray[np.intp], classes: int, generator: np.random.Generator
) -> SegmentationHead:
    """Adam on a cross entropy in which each class weighs as the root of its cells, with dropout and a falling step.

    Args:
        features: (n, k) as `gather` gives them.
        labels: (n,) 0..classes.
    """
    center = features.mean(axis=0, dtype=np.float32)
    spread = features.std(axis=0, dtype=np.float32) + np.float32(1e-3)
    counts = np.bincount(labels, minlength=classes + 1).clip(1)
    # Or a type of small anomalies would be drowned by the background; evened out altogether, probabilities mean nothing
    weight = (np.sqrt(1 / counts) * counts.sum() / np.sqrt(counts).sum()).astype(np.float32)
    widths = (features.shape[1], *_HIDDEN, classes + 1)
    weights = [generator.normal(0, np.sqrt(2 / i), (i, o)).astype(np.float32) for i, o in pairwise(widths)]
    biases = [np.zeros(o, np.float32) for o in widths[1:]]
    parameters = weights + biases
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    for step in range(_STEPS):
        batch = generator.integers(len(features), size=_BATCH)
        inputs = (features[batch] - center) / spread
        gradients = gradients_of(inputs, labels[batch], weights, biases, weight, generator)
        rate = _RATE * float(0.5 + 0.5 * np.cos(np.pi * step / _STEPS))
        for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            unbiased = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            parameter -= rate * (first / (1 - 0.9 ** (step + 1)) / unbiased + _DECAY * parameter)
    biases[0] = biases[0] - (center / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]
    return SegmentationHead(tuple(zip(weights, biases, strict=True)))


def gradients_of(
    inputs: FloatArray,
    labels: NDArray[np.intp],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    weight: FloatArray,
    generator: np.random.Generator | None = None,
) -> list[FloatArray]:
    """Of the mean cross entropy, each label's cells by its weight: by all weights, then by all biases. With a generator
    a tenth of the hidden units rest (dropout, Srivastava et al. 2014)."""
    kept = np.float32(1) if generator is None else 1 - _DROPOUT
    layers = [inputs.reshape(-1, _SLICE, inputs.shape[1])]
    for depth, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = layers[-1] @ w + b
        if depth < len(weights) - 1:
            z = np.maximum(z, 0)
            if generator is not None:
                z *= (generator.random(z.shape, np.float32) < kept) / kept
        layers.append(z)
    odds = np.exp(layers[-1] - layers[-1].max(axis=-1, keepdims=True))
    delta = odds / odds.sum(axis=-1, keepdims=True)
    delta.reshape(len(labels), -1)[np.arange(len(labels)), labels] -= 1
    delta *= (weight[labels] / len(labels)).reshape(-1, _SLICE, 1)
    by_weights: list[FloatArray] = []
    by_biases: list[FloatArray] = []
    for depth in reversed(range(len(weights))):
        below = layers[depth]
        by_weights.insert(0, (below.swapaxes(1, 2) @ delta).sum(axis=0))
        by_biases.insert(0, delta.sum(axis=(0, 1)))
        if depth:
            delta = (delta @ weights[depth].T) * (below > 0) / kept
    return by_weights + by_biases


def fit_type_thresholds(probabilities: FloatArray, coverage: FloatArray) -> list[float]:
    """Per type the probability from which painting overlaps the truth best; .5 for a type that is found nowhere.

    Args:
        probabilities: (n, classes, height, width), by heads that did not see the image.
        coverage: the same shape, share of each cell that the mask paints.
    """
    best = []
    for probability, truth in zip(probabilities.swapaxes(0, 1), coverage.swapaxes(0, 1), strict=True):
        total, overlaps = truth.sum(dtype=np.float64), []
        for threshold in _THRESHOLDS:
            predicted = probability > threshold
            common = truth[predicted].sum(dtype=np.float64)
            overlaps.append(common / max(predicted.sum() + total - common, 1.0))
        good = np.flatnonzero(np.array(overlaps) >= (1 - _AS_GOOD) * max(overlaps))
        best.append(float(_THRESHOLDS[good[len(good) // 2]]) if max(overlaps) > 0 else 0.5)
    return best


def _pointwise(x: Tensor, weights: FloatArray, bias: FloatArray | None = None) -> Tensor:
    return convolve(x, weights.T[:, :, None, None], bias)


def _paths(sizes: Sequence[int]) -> list[FloatArray]:
    """(finest, size) matrices that interpolate along one axis: for each map, and for the context of the coarsest."""
    paths = [np.eye(sizes[0], dtype=np.float32)]
    for finer, coarser in pairwise(sizes):
        paths.append(paths[-1] @ interpolation_matrix(coarser, finer))
    return [*paths, paths[-1] @ window_matrix(sizes[-1], _CONTEXT_CELLS // 2)]


def _grown(painted: NDArray[np.bool_], cells: int) -> NDArray[np.bool_]:
    """With what lies within so many cells of it, along the axes."""
    for _ in range(cells):
        around = np.pad(painted, 1)
        painted = painted | around[2:, 1:-1] | around[:-2, 1:-1] | around[1:-1, 2:] | around[1:-1, :-2]
    return painted
