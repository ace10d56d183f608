"""From maps to the few numbers per image that a verdict is made of, as ONNX nodes.

A map is judged against what normal images show at the same place, on a logarithmic scale: edges always look odder than
plain places. Source of that, and of the statistics: our own measurements.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.learning.estimators.normality import MAP_GRID
from relook.learning.old_graph import GraphBuilder, Tensor

STATISTICS_PER_MAP = 5
_BLUR_SIGMA_CELLS = 1.0
EMBEDDING_GRID = 4
_TOP_CELLS = (1, 4, 41, 205)
_LOG_FLOOR = 1e-3
_PLACE_SIGMA_CELLS = 4.0
_ODD_RATIO = 4.0
_NEGLIGIBLE = 0.01
_PEAK_SHARE = 0.005
_MIN_SPREAD = 0.03
"""Of log maps: distances that differ by 3 % do not differ. Photographs of real parts scatter more than that."""


@dataclass(frozen=True)
class Scorer:
    """How an image's score is made of the statistics of its map.

    Attributes:
        position_weight: of the memory: whether a place says what belongs there, or the same may be anywhere.
        weights: of the statistics, as `statistics_nodes` orders them.
    """

    position_weight: float
    weights: tuple[float, ...]


SCORERS = {
    "object": Scorer(1.0, (1.0, 1.0, 0.0, 0.0, 0.0)),
    "texture": Scorer(0.0, (0.25, 0.0, 0.0, 0.0, 1.0)),
}
"""A defect of an object is what looks oddest; a crack in a random texture shows in how uneven the whole map is."""


@dataclass(frozen=True)
class Scale:
    """Center and spread over normal images; broadcasts against what it standardises."""

    center: NDArray[np.floating]
    spread: NDArray[np.floating]

    def nodes(self, graph: GraphBuilder, x: Tensor) -> Tensor:
        """(x - center) / spread."""
        return graph.node("Div", graph.node("Sub", x, graph.constant(self.center)), graph.constant(self.spread))


def blur_nodes(graph: GraphBuilder, raw_map: Tensor) -> Tensor:
    """A Gaussian of one cell over a (1, 1, 64, 64) map."""
    reach = round(3 * _BLUR_SIGMA_CELLS)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * _BLUR_SIGMA_CELLS**2))
    kernel /= kernel.sum()
    tall = graph.convolve(graph.pad_edges(raw_map, reach, 0), kernel.reshape(1, 1, -1, 1))
    return graph.convolve(graph.pad_edges(tall, 0, reach), kernel.reshape(1, 1, 1, -1))


def log_map(graph: GraphBuilder, distances: Tensor) -> Tensor:
    """The logarithm of a map of distances."""
    return graph.node("Log", graph.node("Add", distances, graph.constant(_LOG_FLOOR)))


def usual_scale(maps: NDArray[np.float32]) -> Scale:
    """(64, 64) mean and spread of (n, 64, 64) normal log maps at each place, smoothed over the places around it."""
    usual = maps[_is_usual(maps)]
    return _smooth_scale(usual.mean(axis=0, dtype=np.float64), (usual.astype(np.float64) ** 2).mean(axis=0))


def standardised(maps: NDArray[np.float32], is_anomalous: NDArray[np.bool_]) -> tuple[NDArray[np.float32], Scale]:
    """(n, 64, 64) log maps on the scale of the normal ones, and that scale. A normal one is measured by the others,
    for it would look too usual beside itself."""
    scale = usual_scale(maps[~is_anomalous])
    found = ((maps - scale.center) / scale.spread).astype(np.float32)
    usual = np.flatnonzero(~is_anomalous)[_is_usual(maps[~is_anomalous])]
    total, squares = maps[usual].sum(axis=0, dtype=np.float64), (maps[usual].astype(np.float64) ** 2).sum(axis=0)
    for index in usual:
        own = maps[index].astype(np.float64)
        others = _smooth_scale((total - own) / (len(usual) - 1), (squares - own**2) / (len(usual) - 1))
        found[index] = (own - others.center) / others.spread
    return found, scale


def average_map(graph: GraphBuilder, gaussian: Tensor, memory: Tensor) -> Tensor:
    """The anomaly map: the mean of two standardised maps."""
    return graph.node("Mul", graph.node("Add", gaussian, memory), graph.constant(0.5))


def statistics_nodes(graph: GraphBuilder, *maps: Tensor) -> Tensor:
    """(1, 5 * maps): the oddest cell, the means of the oddest 4, 1 % and 5 %, the standard deviation of each map."""
    parts = []
    for one_map in maps:
        flat = graph.reshape(one_map, 1, MAP_GRID**2)
        oddest = top(graph, flat, _TOP_CELLS[-1])
        parts += [graph.mean(graph.take(oddest, 0, count, axis=1), 1, keepdims=True) for count in _TOP_CELLS]
        parts.append(_standard_deviation(graph, flat))
    return graph.node("Concat", *parts, axis=1)


def texture_nodes(graph: GraphBuilder, whitened: Tensor, dimensions: int) -> Tensor:
    """(1, 2 * d): mean of every whitened feature over the image, and the logarithm of its spread."""
    flat = graph.reshape(whitened, dimensions, MAP_GRID**2)
    spread = graph.node("Log", graph.node("Add", _standard_deviation(graph, flat), graph.constant(0.05)))
    mean = graph.mean(flat, 1, keepdims=True)
    return graph.node("Concat", *(graph.reshape(x, 1, dimensions) for x in (mean, spread)), axis=1)


def embedding_nodes(graph: GraphBuilder, whitened: Tensor) -> Tensor:
    """(1, 16 d): an image's features in 4 x 4 fields, to compare images with."""
    field = MAP_GRID // EMBEDDING_GRID
    fields = graph.node("AveragePool", whitened, kernel_shape=[field, field], strides=[field, field])
    return graph.reshape(fields, 1, -1)


def embeddings(whitened: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 16 d) of (n, d, 64, 64) features, as `embedding_nodes` gives them."""
    count, dimensions = whitened.shape[:2]
    field = MAP_GRID // EMBEDDING_GRID
    fields = whitened.reshape(count, dimensions, EMBEDDING_GRID, field, EMBEDDING_GRID, field).mean(axis=(3, 5))
    return np.asarray(fields.reshape(count, -1))


def nearest_nodes(graph: GraphBuilder, whitened: Tensor, normals: NDArray[np.floating]) -> Tensor:
    """(2,): which of (n, 16 d) embeddings of normal images is nearest, and its root mean squared distance."""
    apart = graph.node("Sub", embedding_nodes(graph, whitened), graph.constant(normals))
    distance = graph.node("Sqrt", graph.mean(graph.node("Mul", apart, apart), 1))
    index = graph.node("ArgMin", distance, axis=0, keepdims=1)
    number = graph.node("Cast", index, to=1)
    return graph.node("Concat", number, graph.node("Gather", distance, index, axis=0), axis=0)


def peak_nodes(graph: GraphBuilder, types: Tensor, classes: int, grid: int) -> Tensor:
    """(1, classes): log odds of the mean probability in the most suspicious 0.5 % of the cells, per type."""
    flat = graph.reshape(graph.take(types, 1, classes + 1, axis=1), classes, grid**2)
    mean = graph.mean(top(graph, flat, round(_PEAK_SHARE * grid**2)), 1)
    bounded = graph.node("Clip", mean, graph.constant(1e-4), graph.constant(1 - 1e-4))
    odds = graph.node("Div", bounded, graph.node("Sub", graph.constant(1.0), bounded))
    return graph.reshape(graph.node("Log", odds), 1, classes)


def top(graph: GraphBuilder, rows: Tensor, count: int) -> Tensor:
    """The `count` largest of each row, largest first."""
    values, _ = graph.nodes("TopK", 2, rows, graph.constant(np.array([count])), axis=1)
    return values


def _standard_deviation(graph: GraphBuilder, rows: Tensor) -> Tensor:
    """Of each row, (n, 1)."""
    centred = graph.node("Sub", rows, graph.mean(rows, 1, keepdims=True))
    return graph.node("Sqrt", graph.mean(graph.node("Mul", centred, centred), 1, keepdims=True))


def _is_usual(maps: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(n,) which of the normal maps say what is usual: one badly framed picture would hide real anomalies."""
    away = ((maps - np.median(maps, axis=0)) ** 2).mean(axis=(1, 2))
    return np.asarray(away <= _ODD_RATIO * np.median(away) + _NEGLIGIBLE)


def _smooth_scale(mean: NDArray[np.float64], square: NDArray[np.float64]) -> Scale:
    variance = _smooth(np.maximum(square - mean**2, 0), _PLACE_SIGMA_CELLS)
    spread = np.sqrt(variance)
    return Scale(_smooth(mean, _PLACE_SIGMA_CELLS), np.maximum(spread, max(0.5 * np.median(spread), _MIN_SPREAD)))


def _smooth(field: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Gaussian blur of a (64, 64) field, narrower at the border."""
    places = np.arange(MAP_GRID)
    kernel = np.exp(-((places[:, None] - places) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum(axis=1, keepdims=True)
    return np.asarray(kernel @ field @ kernel.T)
