"""Fitted parts to ONNX graphs: small ones that training asks on the way, and the one that ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relook.detection.evidence import (
    STATISTICS_PER_MAP,
    Scale,
    average_map,
    blur_nodes,
    peak_nodes,
    statistics_nodes,
    texture_nodes,
)
from relook.detection.features import CHANNELS, INPUT_SIDE_PX, Responses, cell_features, filter_responses
from relook.detection.graph import GraphBuilder, Tensor
from relook.detection.head import Head
from relook.detection.normality import (
    MAP_GRID,
    Gaussians,
    Memory,
    Whitening,
    gaussian_map,
    memory_map,
    whitening_nodes,
)
from relook.detection.package import TYPE_GRID
from relook.detection.pixels import PIXEL_CHANNELS, PixelModel, pixel_features

_MAP_SHAPE = (1, 1, MAP_GRID, MAP_GRID)


@dataclass(frozen=True)
class Engine:
    """All fitted parts of one model.

    Attributes:
        map_scales: of the Gaussian map and of the memory map, scalars.
        statistics_scale: (12,) of the statistics of average, Gaussian and memory map.
        head: None when there were too few anomalies to learn from.
        pixel_model: None for a classification model.
        classes: number of anomaly types.
    """

    whitening: Whitening
    gaussians: Gaussians
    memory: Memory
    map_scales: tuple[Scale, Scale]
    statistics_scale: Scale
    head: Head | None
    pixel_model: PixelModel | None
    classes: int

    def graph(self) -> bytes:
        """Pixels to `scores`, `map` and `types`, as `package.py` describes them."""
        graph = GraphBuilder()
        responses = _responses(graph)
        whitened = whitening_nodes(graph, cell_features(graph, responses, MAP_GRID), self.whitening)
        raw = (gaussian_map(graph, whitened, self.gaussians), memory_map(graph, whitened, self.memory))
        maps = [scale.nodes(graph, blur_nodes(graph, m)) for m, scale in zip(raw, self.map_scales, strict=True)]
        average = average_map(graph, *maps)
        standard = self.statistics_scale.nodes(graph, statistics_nodes(graph, average, *maps))
        scores = [
            graph.node(
                "ReduceSum",
                graph.take(standard, 0, STATISTICS_PER_MAP, axis=1),
                graph.constant(np.array([1])),
                keepdims=0,
            )
        ]
        types = None
        if self.pixel_model is not None:
            types = self.pixel_model.nodes(graph, pixel_features(graph, responses))
        if self.head is not None:
            # log(1 + |z|) keeps its sign: how odd an image is matters, by how many thousand times does not
            size = graph.node("Log", graph.node("Add", graph.node("Abs", standard), graph.constant(1.0)))
            parts = [
                graph.node("Mul", graph.node("Sign", standard), size),
                texture_nodes(graph, whitened, self.whitening.dimensions),
            ]
            if types is not None:
                parts.append(peak_nodes(graph, types, self.classes, TYPE_GRID))
            scores.append(self.head.nodes(graph, graph.node("Concat", *parts, axis=1)))
        graph.output("scores", graph.node("Concat", *scores, axis=0), (len(scores),))
        graph.output("map", graph.reshape(average, MAP_GRID, MAP_GRID), (MAP_GRID, MAP_GRID))
        if types is not None:
            shape = (self.classes + 1, TYPE_GRID, TYPE_GRID)
            graph.output("types", graph.reshape(types, *shape), shape)
        return graph.finish()


def features_graph() -> bytes:
    """`image` to `features`, (1, CHANNELS, 64, 64)."""
    return _from_image(
        "features",
        (1, CHANNELS, MAP_GRID, MAP_GRID),
        lambda graph, responses: cell_features(graph, responses, MAP_GRID),
    )


def whitened_graph(whitening: Whitening) -> bytes:
    """`image` to `whitened`, (1, d, 64, 64)."""
    return _from_image(
        "whitened",
        (1, whitening.dimensions, MAP_GRID, MAP_GRID),
        lambda graph, responses: whitening_nodes(graph, cell_features(graph, responses, MAP_GRID), whitening),
    )


def pixel_features_graph() -> bytes:
    """`image` to `features`, (1, PIXEL_CHANNELS, 128, 128)."""
    return _from_image("features", (1, PIXEL_CHANNELS, TYPE_GRID, TYPE_GRID), pixel_features)


def types_graph(model: PixelModel, classes: int) -> bytes:
    """`image` to `types`, (1, classes + 1, 128, 128), and `peaks`, (1, classes)."""
    graph = GraphBuilder()
    types = model.nodes(graph, pixel_features(graph, _responses(graph)))
    graph.output("types", types, (1, classes + 1, TYPE_GRID, TYPE_GRID))
    graph.output("peaks", peak_nodes(graph, types, classes, TYPE_GRID), (1, classes))
    return graph.finish()


def raw_maps_graph(gaussians: Gaussians, memory: Memory) -> bytes:
    """`whitened` to the blurred, unscaled `gaussian` and `memory` maps."""
    graph = GraphBuilder()
    dimensions = gaussians.mean.shape[1]
    whitened = graph.input("whitened", np.float32, (1, dimensions, MAP_GRID, MAP_GRID))
    graph.output("gaussian", blur_nodes(graph, gaussian_map(graph, whitened, gaussians)), _MAP_SHAPE)
    graph.output("memory", blur_nodes(graph, memory_map(graph, whitened, memory)), _MAP_SHAPE)
    return graph.finish()


def evidence_graph(map_scales: tuple[Scale, Scale], dimensions: int) -> bytes:
    """`whitened` and the unscaled maps to the average `map`, `statistics` (1, 12) and `texture` (1, 2 d)."""
    graph = GraphBuilder()
    whitened = graph.input("whitened", np.float32, (1, dimensions, MAP_GRID, MAP_GRID))
    raw = [graph.input(name, np.float32, _MAP_SHAPE) for name in ("gaussian", "memory")]
    maps = [scale.nodes(graph, m) for m, scale in zip(raw, map_scales, strict=True)]
    average = average_map(graph, *maps)
    graph.output("map", average, _MAP_SHAPE)
    graph.output("statistics", statistics_nodes(graph, average, *maps), (1, 3 * STATISTICS_PER_MAP))
    graph.output("texture", texture_nodes(graph, whitened, dimensions), (1, 2 * dimensions))
    return graph.finish()


def _responses(graph: GraphBuilder) -> Responses:
    return filter_responses(graph, graph.input("image", np.uint8, (1, INPUT_SIDE_PX, INPUT_SIDE_PX, 3)))


def _from_image(name: str, shape: tuple[int, ...], write: Callable[[GraphBuilder, Responses], Tensor]) -> bytes:
    graph = GraphBuilder()
    graph.output(name, write(graph, _responses(graph)), shape)
    return graph.finish()
