"""Which type a place shows: a small network on filter bank and backbone, asked at every cell of a 128 x 128 grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.package import TYPE_GRID
from relook.learning.estimators.features import CHANNELS, cell_features, filter_responses
from relook.learning.old_graph import GraphBuilder, Tensor

_CONTEXT_CELLS = 5
_HIDDEN = (64, 32)
_EPOCHS = 8
_BATCH = 512
_SLICES = 16
_LEARNING_RATE = 3e-3
_WEIGHT_DECAY = 1e-2
_PER_TYPE = 250
_PER_BACKGROUND = 250
_NEAR_CELLS = 4
_COVERED = 0.3
_DROPOUT = 0.2


@dataclass(frozen=True)
class PixelModel:
    """Weights of the network; the standardisation of its input is folded into the first layer.

    Attributes:
        layers: (weights (inputs, outputs), bias (outputs,)) in order; the last one's outputs are background and types.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]

    def nodes(self, graph: GraphBuilder, features: Tensor) -> Tensor:
        """Nodes from (1, k, 128, 128) to (1, classes + 1, 128, 128) probabilities."""
        x = features
        for depth, (weights, bias) in enumerate(self.layers):
            x = graph.convolve(graph.node("Relu", x) if depth else x, weights.T[:, :, None, None], bias=bias)
        # The mean over neighbours takes specks away; a scratch survives it, being long
        return graph.mean_filter(graph.node("Softmax", x, axis=1), 3)


def pixel_channels(dimensions: int) -> int:
    """Of `pixel_features`, with whitened features of so many dimensions."""
    return 2 * CHANNELS + dimensions


def pixel_features(graph: GraphBuilder, image: Tensor, whitened: Tensor) -> Tensor:
    """Nodes to (1, pixel_channels(d), 128, 128): filter responses of each cell, their mean around it, the backbone.

    Args:
        image: (1, 3, 256, 256) RGB 0..1.
        whitened: (1, d, 64, 64).
    """
    own = cell_features(graph, filter_responses(graph, image), TYPE_GRID)
    scales = graph.constant(np.array([1.0, 1.0, 2.0, 2.0], np.float32))
    finer = graph.node("Resize", whitened, None, scales, mode="linear", coordinate_transformation_mode="half_pixel")
    return graph.node("Concat", own, graph.mean_filter(own, _CONTEXT_CELLS), finer, axis=1)


def sample_cells(coverage: FloatArray, generator: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Cells of one image to learn from: up to 250 of each type, 250 next to anomalies, 250 elsewhere.

    Args:
        coverage: (classes, 128, 128) share of each cell that the mask paints; all 0 for a normal image.
    Returns:
        indices into the flattened grid, and their labels, 0 background. Cells on an outline are left out.
    """
    flat = coverage.reshape(len(coverage), -1)
    painted = flat.sum(axis=0)
    chosen, labels = [], []
    for index, share in enumerate(flat):
        # A scratch thinner than a cell never covers one: then its best covered cells are the examples
        cells = np.flatnonzero((share > 0) & (share >= min(_COVERED, 0.5 * share.max())) & (share == flat.max(axis=0)))
        cells = generator.permutation(cells)[:_PER_TYPE]
        chosen.append(cells)
        labels.append(np.full(len(cells), index + 1))
    near = _near(painted.reshape(TYPE_GRID, TYPE_GRID) > 0).ravel() & (painted == 0)
    for cells in (np.flatnonzero(near), np.flatnonzero((painted == 0) & ~near)):
        cells = generator.permutation(cells)[:_PER_BACKGROUND]
        chosen.append(cells)
        labels.append(np.zeros(len(cells), int))
    return np.concatenate(chosen).astype(np.intp), np.concatenate(labels).astype(np.intp)


def fit_pixel_model(
    features: FloatArray, labels: NDArray[np.intp], classes: int, generator: np.random.Generator
) -> PixelModel:
    """Train on (n, k) features and (n,) labels 0..classes. Adam, cross entropy, a falling step."""
    center, spread = features.mean(axis=0), features.std(axis=0) + 1e-3
    inputs = (features - center) / spread
    widths = (features.shape[1], *_HIDDEN, classes + 1)
    weights = [generator.normal(0, np.sqrt(2 / i), (i, o)).astype(np.float32) for i, o in pairwise(widths)]
    biases = [np.zeros(o, np.float32) for o in widths[1:]]
    parameters = weights + biases
    moments = [(np.zeros_like(p), np.zeros_like(p)) for p in parameters]
    steps = _EPOCHS * max(1, len(inputs) // _BATCH)
    for step in range(steps):
        batch = generator.integers(len(inputs), size=_BATCH)
        gradients = _gradients(inputs[batch], labels[batch], weights, biases, generator)
        rate = _LEARNING_RATE * (0.5 + 0.5 * np.cos(np.pi * step / steps))
        for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient**2 - second)
            unbiased = np.sqrt(second / (1 - 0.999 ** (step + 1))) + 1e-8
            parameter -= rate * (first / (1 - 0.9 ** (step + 1)) / unbiased + _WEIGHT_DECAY * parameter)
    biases[0] = biases[0] - (center / spread) @ weights[0]
    weights[0] = weights[0] / spread[:, None]
    return PixelModel(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in zip(weights, biases, strict=True)))


def fit_type_thresholds(probabilities: FloatArray, coverage: FloatArray) -> list[float]:
    """Per type the pixel threshold of best overlap, from predictions of models that did not see the image.

    Args:
        probabilities: (n, classes, 128, 128).
        coverage: the same shape, the truth.
    """
    best = []
    for probability, truth in zip(probabilities.swapaxes(0, 1), coverage.swapaxes(0, 1), strict=True):
        overlaps = []
        for threshold in _THRESHOLDS:
            found = probability > threshold
            common = truth[found].sum(dtype=np.float64)
            overlaps.append(common / max(found.sum() + truth.sum(dtype=np.float64) - common, 1.0))
        best.append(float(_THRESHOLDS[int(np.argmax(overlaps))]) if max(overlaps) > 0 else 0.5)
    return best


_THRESHOLDS = np.round(np.arange(0.1, 0.96, 0.05), 2)


def _gradients(
    x: FloatArray,
    labels: NDArray[np.intp],
    weights: Sequence[FloatArray],
    biases: Sequence[FloatArray],
    generator: np.random.Generator | None = None,
) -> list[FloatArray]:
    """Of the mean cross entropy, for all weights and then all biases; with a generator a fifth of the hidden units rest
    (dropout, Srivastava et al. 2014)."""
    # A batch goes as 16 slices: matrix products this small stay on one thread, where BLAS would spend more time waking
    # others than multiplying (50 times more on a busy machine).
    layers = [x.reshape(_SLICES, -1, x.shape[1])]
    for depth, (w, b) in enumerate(zip(weights, biases, strict=True)):
        z = layers[-1] @ w + b
        if depth < len(weights) - 1:
            z = np.maximum(z, 0)
            if generator is not None:
                z *= (generator.random(z.shape, np.float32) >= _DROPOUT) / np.float32(1 - _DROPOUT)
        layers.append(z)
    odds = np.exp(layers[-1] - layers[-1].max(axis=-1, keepdims=True))
    delta = odds / odds.sum(axis=-1, keepdims=True)
    delta.reshape(len(labels), -1)[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    by_weights: list[FloatArray] = []
    by_biases: list[FloatArray] = []
    for w, below in zip(reversed(weights), reversed(layers[:-1]), strict=True):
        by_weights.insert(0, (below.swapaxes(1, 2) @ delta).sum(axis=0))
        by_biases.insert(0, delta.sum(axis=(0, 1)))
        delta = (delta @ w.T) * (below > 0) / (1 if generator is None else np.float32(1 - _DROPOUT))
    return by_weights + by_biases


def _near(painted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells within 4 cells of a painted one, along the axes."""
    near = painted.copy()
    for _ in range(_NEAR_CELLS):
        grown = near.copy()
        grown[1:] |= near[:-1]
        grown[:-1] |= near[1:]
        grown[:, 1:] |= near[:, :-1]
        grown[:, :-1] |= near[:, 1:]
        near = grown
    return near
