"""Fitted parts to ONNX graphs: small ones that training asks on the way, and the one that ships."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relook.detection.arrays import FloatArray
from relook.detection.package import TYPE_GRID
from relook.learning.estimators.alignment import Alignment, alignment_nodes, undo_nodes
from relook.learning.estimators.detail import DETAIL_GRID, Detail
from relook.learning.estimators.evidence import (
    STATISTICS_PER_MAP,
    Scale,
    Scorer,
    average_map,
    blur_nodes,
    log_map,
    nearest_nodes,
    peak_nodes,
    statistics_nodes,
    texture_nodes,
)
from relook.learning.estimators.features import (
    CHANNELS,
    INPUT_SIDE_PX,
    cell_features,
    filter_responses,
    to_unit,
    unit_image,
)
from relook.learning.estimators.head import Head
from relook.learning.estimators.normality import (
    MAP_GRID,
    Gaussians,
    Memory,
    Whitening,
    gaussian_map,
    memory_map,
    whitening_nodes,
)
from relook.learning.estimators.pixels import PixelModel, pixel_channels, pixel_features
from relook.learning.old_backbone import Backbone
from relook.learning.old_graph import GraphBuilder, Tensor

_MAP_SHAPE = (1, 1, MAP_GRID, MAP_GRID)


@dataclass(frozen=True)
class Eye:
    """What turns pixels into whitened features.

    Attributes:
        alignment: None where pictures are taken as they are.
        whitening: fitted on the features of aligned normal images.
    """

    backbone: Backbone
    whitening: Whitening
    alignment: Alignment | None = None

    def features(self, graph: GraphBuilder, image: Tensor) -> Tensor:
        """Nodes from (1, 3, 256, 256) RGB 0..1 to (1, d, 64, 64); whatever alignment there is has been done before."""
        return whitening_nodes(graph, _seen(graph, self.backbone, image, self.alignment), self.whitening)


@dataclass(frozen=True)
class Engine:
    """All fitted parts of one model.

    Attributes:
        map_scales: (64, 64) of the Gaussian log map and of the memory's.
        statistics_scale: (15,) of the statistics of average, Gaussian and memory map.
        head: None when there were too few anomalies to learn from.
        pixel_model: None for a classification model.
        classes: number of anomaly types.
        normals: (n, e) embeddings of the normal images that an image is compared with.
        detail: None for pictures that are small enough to be seen whole.
    """

    eye: Eye
    gaussians: Gaussians
    memory: Memory
    map_scales: tuple[Scale, Scale]
    statistics_scale: Scale
    scorer: Scorer
    head: Head | None
    pixel_model: PixelModel | None
    classes: int
    normals: FloatArray
    detail: Detail | None = None

    def graph(self) -> bytes:
        """Pixels to `scores`, `map`, `nearest` and `types`, as `package.py` describes them."""
        graph = GraphBuilder()
        tiles = self.detail.tiles if self.detail else 1
        picture = graph.input("image", np.uint8, (1, INPUT_SIDE_PX * tiles, INPUT_SIDE_PX * tiles, 3))
        image = to_unit(graph, picture, tiles)
        aligned = alignment_nodes(graph, image, self.eye.alignment) if self.eye.alignment else None
        whitened = self.eye.features(graph, aligned.image if aligned else image)
        raw = (gaussian_map(graph, whitened, self.gaussians), memory_map(graph, whitened, self.memory))
        logs = [log_map(graph, blur_nodes(graph, m)) for m in raw]
        maps = [scale.nodes(graph, m) for m, scale in zip(logs, self.map_scales, strict=True)]
        average = average_map(graph, *maps)
        standard = self.statistics_scale.nodes(graph, statistics_nodes(graph, average, *maps))
        own = graph.take(standard, 0, STATISTICS_PER_MAP, axis=1)
        scores = [graph.reshape(graph.node("MatMul", own, graph.constant(np.array(self.scorer.weights)[:, None])), 1)]
        types = None
        if self.pixel_model is not None:
            plain = self.eye.features(graph, image) if aligned else whitened
            types = self.pixel_model.nodes(graph, pixel_features(graph, image, plain))
        if self.head is not None:
            # log(1 + |z|) keeps its sign: how odd an image is matters, by how many thousand times does not
            size = graph.node("Log", graph.node("Add", graph.node("Abs", standard), graph.constant(1.0)))
            parts = [
                graph.node("Mul", graph.node("Sign", standard), size),
                texture_nodes(graph, whitened, self.eye.whitening.dimensions),
            ]
            if types is not None:
                parts.append(peak_nodes(graph, types, self.classes, TYPE_GRID))
            scores.append(self.head.nodes(graph, graph.node("Concat", *parts, axis=1)))
        shown, side = undo_nodes(graph, average, aligned.pose, MAP_GRID) if aligned else average, MAP_GRID
        if self.detail is not None:
            close, score = self.detail.nodes(graph, picture)
            scores.append(score)
            shown, side = _overlaid(graph, shown, close, self.detail), DETAIL_GRID
        graph.output("scores", graph.node("Concat", *scores, axis=0), (len(scores),))
        graph.output("map", graph.reshape(shown, side, side), (side, side))
        graph.output("nearest", nearest_nodes(graph, whitened, self.normals), (2,))
        if types is not None:
            shape = (self.classes + 1, TYPE_GRID, TYPE_GRID)
            graph.output("types", graph.reshape(types, *shape), shape)
        return graph.finish()


def _overlaid(graph: GraphBuilder, average: Tensor, close: Tensor, detail: Detail) -> Tensor:
    """(1, 1, 128, 128): the higher of both maps, brought to one scale by their oddest fields in normal pictures."""
    usual = max(float(detail.statistics_scale.center[0]), 1.0)
    wide = graph.to_grid(average, 1, MAP_GRID, DETAIL_GRID)
    return graph.node("Max", wide, graph.node("Mul", close, graph.constant(detail.usual_peak / usual)))


def features_graph(backbone: Backbone, alignment: Alignment | None = None) -> bytes:
    """`image`, aligned already if it is to be, to `features`, (1, seen_channels, 64, 64)."""
    graph = GraphBuilder()
    shape = (1, seen_channels(backbone, alignment), MAP_GRID, MAP_GRID)
    graph.output("features", _seen(graph, backbone, unit_image(graph), alignment), shape)
    return graph.finish()


def seen_channels(backbone: Backbone, alignment: Alignment | None = None) -> int:
    """How many features a cell has before whitening."""
    return backbone.channels + (CHANNELS if alignment is None else 0)


def _seen(graph: GraphBuilder, backbone: Backbone, image: Tensor, alignment: Alignment | None) -> Tensor:
    """Backbone and filter bank side by side: each finds what the other overlooks. Of pictures that were turned the
    backbone alone: how much turning blurs depends on the angle, and the finest filters see little else."""
    found = backbone.nodes(graph, image, MAP_GRID)
    if alignment is not None:
        return found
    bank = cell_features(graph, filter_responses(graph, image), MAP_GRID)
    return graph.node("Concat", found, bank, axis=1)


def whitened_graph(eye: Eye) -> bytes:
    """`image` to `whitened`, (1, d, 64, 64)."""
    graph = GraphBuilder()
    shape = (1, eye.whitening.dimensions, MAP_GRID, MAP_GRID)
    graph.output("whitened", eye.features(graph, unit_image(graph)), shape)
    return graph.finish()


def pixel_features_graph(eye: Eye) -> bytes:
    """`image` to `features`, (1, pixel_channels(d), 128, 128)."""
    graph = GraphBuilder()
    image = unit_image(graph)
    features = pixel_features(graph, image, eye.features(graph, image))
    graph.output("features", features, (1, pixel_channels(eye.whitening.dimensions), TYPE_GRID, TYPE_GRID))
    return graph.finish()


def types_graph(eye: Eye, model: PixelModel, classes: int) -> bytes:
    """`image` to `types`, (1, classes + 1, 128, 128), and `peaks`, (1, classes)."""
    graph = GraphBuilder()
    image = unit_image(graph)
    types = model.nodes(graph, pixel_features(graph, image, eye.features(graph, image)))
    graph.output("types", types, (1, classes + 1, TYPE_GRID, TYPE_GRID))
    graph.output("peaks", peak_nodes(graph, types, classes, TYPE_GRID), (1, classes))
    return graph.finish()


def raw_maps_graph(gaussians: Gaussians, memory: Memory) -> bytes:
    """`whitened` to the blurred `gaussian` and `memory` log maps."""
    graph = GraphBuilder()
    dimensions = gaussians.mean.shape[1]
    whitened = graph.input("whitened", np.float32, (1, dimensions, MAP_GRID, MAP_GRID))
    graph.output("gaussian", log_map(graph, blur_nodes(graph, gaussian_map(graph, whitened, gaussians))), _MAP_SHAPE)
    graph.output("memory", log_map(graph, blur_nodes(graph, memory_map(graph, whitened, memory))), _MAP_SHAPE)
    return graph.finish()


def evidence_graph(dimensions: int) -> bytes:
    """`whitened` and standardised maps to the average `map`, `statistics` (1, 15) and `texture` (1, 2 d)."""
    graph = GraphBuilder()
    whitened = graph.input("whitened", np.float32, (1, dimensions, MAP_GRID, MAP_GRID))
    maps = [graph.input(name, np.float32, _MAP_SHAPE) for name in ("gaussian", "memory")]
    average = average_map(graph, *maps)
    graph.output("map", average, _MAP_SHAPE)
    graph.output("statistics", statistics_nodes(graph, average, *maps), (1, 3 * STATISTICS_PER_MAP))
    graph.output("texture", texture_nodes(graph, whitened, dimensions), (1, 2 * dimensions))
    return graph.finish()
