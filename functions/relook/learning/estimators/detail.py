"""The second look at large pictures, tile by tile, for what 256 pixels cannot show.

A picture is squashed to k x k tiles of 256 pixels. The edges and lines in each are looked up in a memory of normal ones
(a backbone's features, which look farther, hardly move for a scratch one pixel wide). What is found is compared with
what normal pictures show thereabouts, for edges always look odder than plain places. The oddest few of 128 x 128 fields
make a score of its own, which alarms by itself: a scratch of ten cells among a quarter of a million moves no statistic
of the first look.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.image import decode_for_model
from relook.detection.package import Calibration
from relook.detection.session import TRAINING_THREADS, Session
from relook.learning.data.samples import LabeledImage
from relook.learning.data.training_set import OnProgress
from relook.learning.estimators.calibration import fit_detail_alarm, median_and_spread
from relook.learning.estimators.evidence import Scale, blur_nodes, top
from relook.learning.estimators.features import FINE_CHANNELS, INPUT_SIDE_PX, fine_features, to_unit, unit_image
from relook.learning.estimators.normality import (
    MAP_GRID,
    Memory,
    Whitening,
    coreset,
    fit_whitening,
    memory_map,
    whitening_nodes,
)
from relook.learning.old_graph import GraphBuilder, Tensor

DETAIL_GRID = 128
_ODDEST_FIELDS = 8
_REACH_FIELDS = 1
_BLUR_FIELDS = 2
_LEARNT_FROM = 24
_TILES_OF_AN_IMAGE = 12
_CELLS_OF_A_TILE = 150
_POOL = 16_000
_MEMORY_SIZE = 1500


@dataclass(frozen=True)
class Detail:
    """The fitted second look.

    Attributes:
        tiles: k, a side.
        usual: (128, 128) what each field's oddest cell comes to in normal pictures.
        statistics_scale: (2,) of the oddest field and the mean of the oddest 8.
        usual_peak: what the first look's map comes to at its oddest cell in a normal picture.
    """

    tiles: int
    whitening: Whitening
    memory: Memory
    usual: Scale
    statistics_scale: Scale
    usual_peak: float

    def nodes(self, graph: GraphBuilder, image: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes from (1, 256 k, 256 k, 3) uint8 to the (1, 1, 128, 128) map and a (1,) score."""
        raw = _field_nodes(graph, image, self.tiles, self.whitening, self.memory)
        found = self.usual.nodes(graph, raw)
        oddest = top(graph, graph.reshape(found, 1, DETAIL_GRID**2), _ODDEST_FIELDS)
        statistics = graph.node(
            "Concat", graph.take(oddest, 0, 1, axis=1), graph.mean(oddest, 1, keepdims=True), axis=1
        )
        standard = self.statistics_scale.nodes(graph, statistics)
        return found, graph.node("ReduceSum", standard, graph.constant(np.array([1])), keepdims=0)


@dataclass(frozen=True)
class FittedDetail:
    """What fitting gives.

    Attributes:
        alarm: calibration of the score.
        scores: image index -> score by a memory that did not see the image; of some images only.
    """

    detail: Detail
    alarm: Calibration
    scores: dict[int, float]


def fit_detail(
    images: Sequence[LabeledImage],
    is_anomalous: NDArray[np.bool_],
    tiles: int,
    usual_peak: float,
    generator: np.random.Generator,
    on_progress: OnProgress,
) -> FittedDetail:
    """From up to 24 normal images, judged by memories of each other's half, and up to 24 anomalous ones."""
    normals, anomalies = (_some(np.flatnonzero(is_anomalous == label)) for label in (False, True))
    steps = 2 * len(normals) + len(anomalies)
    features, owners = _sample(images, normals, tiles, generator, on_progress, steps)
    whitening = fit_whitening(features)
    pool = np.asarray((features - whitening.mean) @ whitening.projection, np.float32)
    halves = [_memory(pool[owners % 2 != half], generator) for half in (0, 1)]
    judges = [Session(_field_graph(tiles, whitening, memory), threads=TRAINING_THREADS) for memory in halves]
    found = {}
    for order, index in enumerate([*normals.tolist(), *anomalies.tolist()]):
        pixels = decode_for_model(images[index].read(), INPUT_SIDE_PX * tiles, INPUT_SIDE_PX * tiles)
        found[index] = judges[order % 2](image=pixels[None])["fields"][0, 0]
        on_progress("looking closely", len(normals) + order + 1, steps)
    of_normals = np.stack([found[index] for index in normals.tolist()])
    usual = _usual(of_normals)
    statistics = {index: _statistics((fields - usual.center) / usual.spread) for index, fields in found.items()}
    for order, index in enumerate(normals.tolist()):  # what a normal picture is compared with must not know it
        others = _usual(np.delete(of_normals, order, axis=0))
        statistics[index] = _statistics((found[index] - others.center) / others.spread)
    scale = Scale(*median_and_spread(np.stack([statistics[index] for index in normals.tolist()])))
    scores = {index: float(((s - scale.center) / scale.spread).sum()) for index, s in statistics.items()}
    return FittedDetail(
        Detail(tiles, whitening, _memory(pool, generator), usual, scale, usual_peak),
        fit_detail_alarm(np.array([scores[index] for index in normals.tolist()])),
        scores,
    )


def _some(indices: NDArray[np.intp]) -> NDArray[np.intp]:
    return indices[:: max(1, -(-len(indices) // _LEARNT_FROM))]


def _sample(
    images: Sequence[LabeledImage],
    normals: NDArray[np.intp],
    tiles: int,
    generator: np.random.Generator,
    on_progress: OnProgress,
    steps: int,
) -> tuple[FloatArray, NDArray[np.intp]]:
    """(n, FINE_CHANNELS) features of cells of tiles of normal images, and their (n,) images."""
    graph = GraphBuilder()
    graph.output("features", fine_features(graph, unit_image(graph), MAP_GRID), (1, FINE_CHANNELS, MAP_GRID, MAP_GRID))
    session = Session(graph.finish(), threads=TRAINING_THREADS)
    features, owners = [], []
    for order, index in enumerate(normals.tolist()):
        cut = _cut(decode_for_model(images[index].read(), INPUT_SIDE_PX * tiles, INPUT_SIDE_PX * tiles), tiles)
        for number in generator.permutation(len(cut))[:_TILES_OF_AN_IMAGE].tolist():
            cells = generator.permutation(MAP_GRID**2)[:_CELLS_OF_A_TILE]
            found = session(image=cut[number : number + 1])["features"]
            features.append(found.reshape(FINE_CHANNELS, -1)[:, cells].T)
            owners.append(np.full(len(cells), order))
        on_progress("looking closely", order + 1, steps)
    return np.concatenate(features), np.concatenate(owners)


def _memory(pool: FloatArray, generator: np.random.Generator) -> Memory:
    """Of whitened features; no position goes with them, for the same edge may be anywhere."""
    drawn = pool[generator.permutation(len(pool))[:_POOL]]
    chosen = drawn[coreset(drawn, _MEMORY_SIZE, generator)]
    return Memory(np.concatenate([chosen, np.zeros((len(chosen), 2), np.float32)], axis=1), 0.0)


def _usual(fields: FloatArray) -> Scale:
    """Of (n, 128, 128) normal pictures: mean and spread of the oddest cell within a field and those around it, since
    parts move."""
    size = 2 * _REACH_FIELDS + 1
    padded = np.pad(fields, ((0, 0), (_REACH_FIELDS, _REACH_FIELDS), (_REACH_FIELDS, _REACH_FIELDS)), mode="edge")
    around = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(1, 2)).max(axis=(3, 4))
    variance = around.var(axis=0)
    size = 2 * _BLUR_FIELDS + 1
    padded = np.pad(variance, _BLUR_FIELDS, mode="edge")
    smooth = np.lib.stride_tricks.sliding_window_view(padded, (size, size)).mean(axis=(2, 3))
    spread = np.sqrt(smooth)
    return Scale(around.mean(axis=0), np.maximum(spread, 0.5 * np.median(spread)) + 1e-3)


def _statistics(standard: NDArray[np.floating]) -> NDArray[np.floating]:
    """(2,) as the graph computes them."""
    oddest = np.sort(standard, axis=None)[-_ODDEST_FIELDS:]
    return np.array([oddest[-1], oddest.mean()])


def _field_graph(tiles: int, whitening: Whitening, memory: Memory) -> bytes:
    """`image` to the raw `fields`, (1, 1, 128, 128)."""
    graph = GraphBuilder()
    side = INPUT_SIDE_PX * tiles
    image = graph.input("image", np.uint8, (1, side, side, 3))
    fields = _field_nodes(graph, image, tiles, whitening, memory)
    graph.output("fields", fields, (1, 1, DETAIL_GRID, DETAIL_GRID))
    return graph.finish()


def _field_nodes(graph: GraphBuilder, image: Tensor, tiles: int, whitening: Whitening, memory: Memory) -> Tensor:
    """Nodes from (1, 256 k, 256 k, 3) uint8 to the distance of the oddest cell in each of (1, 1, 128, 128) fields."""
    rows = graph.reshape(image, tiles, INPUT_SIDE_PX, tiles, INPUT_SIDE_PX, 3)
    side = INPUT_SIDE_PX
    cut = graph.reshape(graph.node("Transpose", rows, perm=[0, 2, 1, 3, 4]), tiles**2, side, side, 3)
    body = GraphBuilder()
    tile = body.input("tile", np.uint8, (side, side, 3))
    unit = to_unit(body, body.reshape(tile, 1, side, side, 3), 1)
    whitened = whitening_nodes(body, fine_features(body, unit, MAP_GRID), whitening)
    found = blur_nodes(body, memory_map(body, whitened, memory))
    body.output("found", body.reshape(found, MAP_GRID, MAP_GRID), (MAP_GRID, MAP_GRID))
    maps = graph.scan(body, cut)
    square = graph.node("Transpose", graph.reshape(maps, tiles, tiles, MAP_GRID, MAP_GRID), perm=[0, 2, 1, 3])
    cells = graph.reshape(square, 1, 1, MAP_GRID * tiles, MAP_GRID * tiles)
    size = MAP_GRID * tiles // DETAIL_GRID
    return graph.node("MaxPool", cells, kernel_shape=[size, size], strides=[size, size])


def _cut(pixels: ByteArray, tiles: int) -> ByteArray:
    """(k * k, 256, 256, 3) tiles, row by row."""
    rows = pixels.reshape(tiles, INPUT_SIDE_PX, tiles, INPUT_SIDE_PX, 3)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(-1, INPUT_SIDE_PX, INPUT_SIDE_PX, 3))
