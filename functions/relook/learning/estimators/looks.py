"""A look at the canvas: the backbone's features on a grid of cells, and how odd they are there.

Every model looks once with the whole canvas. Where the camera gives many more pixels than that, it looks a second time,
at a finer canvas, and both maps are averaged: large things show in the first, small ones in the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from relook.detection.arrays import FloatArray
from relook.learning.backbone.protocol import Backbone
from relook.learning.estimators.normality import Gaussians, Grid, Memory, Whitening
from relook.learning.estimators.resampling import interpolation_matrix, window_matrix
from relook.learning.graph.layers import average_pool, mean_filter, resize
from relook.learning.graph.tensor import Tensor
from relook.learning.graph.xp import ArrayT, xp

CELL_PX = 8
"""Of the first look's canvas; the second one has cells of 16 finer pixels."""
_BLOCKS = 256  # 2 x 2 cells of a 32 x 32 grid: they told as much as one for each cell (docs/engine.md)
_LOG_FLOOR = 1e-2
"""Ten times the rounding errors of a memory's distances: of equal images nothing else would be left."""
_SMOOTH_REACH = 1  # cells: 3 x 3, as features are averaged
_NONE_KEPT = 0.01
"""Below the weight of one of nine cells: where none is kept, nothing is divided by nothing."""


@dataclass(frozen=True)
class FeatureExtractor:
    """What turns a canvas into features.

    Attributes:
        canvas: (height, width) px of the first look; multiples of 32.
        factor: pixels of the finest canvas for one of the first look's, a side; 1 where there is no second look.
    """

    backbone: Backbone
    canvas: tuple[int, int]
    factor: int

    @property
    def finest(self) -> tuple[int, int]:
        """(height, width) px of what the graph takes."""
        return self.canvas[0] * self.factor, self.canvas[1] * self.factor

    @property
    def grids(self) -> list[Grid]:
        """Of each look."""
        height, width = (side // CELL_PX for side in self.canvas)
        finer = max(self.factor // 2, 1)
        sizes = [(height, width)] if self.factor == 1 else [(height, width), (height * finer, width * finer)]
        return [Grid(h, w, _block(h, w)) for h, w in sizes]

    def maps(self, image: Tensor) -> list[list[Tensor]]:
        """Maps of the backbone for each look, from (1, 3, height, width) RGB 0..255 of the finest canvas."""
        views = [image] if self.factor == 1 else [average_pool(image, self.factor), image]
        return [self.backbone.maps(view) for view in views]

    def features(self, maps: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """(1, cells, channels) of each look."""
        return [_on_grid(each, grid) for each, grid in zip(maps, self.grids, strict=True)]


def _block(height: int, width: int) -> int:
    """The largest power of two that leaves 256 blocks or more, and divides both sides."""
    block = 1
    while height * width >= _BLOCKS * 4 * block**2 * 0.75 and not (height % (2 * block) or width % (2 * block)):
        block *= 2
    return block


def _on_grid(maps: Sequence[Tensor], grid: Grid) -> Tensor:
    """Each map averaged over 3 x 3 of its cells (without that AUROC fell by .03 to .05), then brought to the grid."""
    parts = []
    for each in maps:
        smooth = mean_filter(each, 3)
        high, wide = smooth.shape[2] / grid.height, smooth.shape[3] / grid.width
        if high > 1 and high == wide and high.is_integer():
            smooth = average_pool(smooth, int(high))
        parts.append(resize(smooth, grid.height, grid.width))
    joined = xp.concatenate(parts, 1)
    return joined.reshape(1, joined.shape[1], grid.cells).transpose(0, 2, 1)


@dataclass(frozen=True)
class Scale:
    """Center and spread over normal images; broadcasts against what it standardises."""

    center: FloatArray
    spread: FloatArray

    def __call__(self, x: ArrayT) -> ArrayT:
        return (x - self.center) / self.spread


@dataclass(frozen=True)
class Look:
    """All that was fitted for one look.

    Attributes:
        scales: (height, width) each, of the log maps of the Gaussians and, if there is one, of the memory.
    """

    grid: Grid
    whitening: Whitening
    gaussians: Gaussians
    memory: Memory | None
    scales: tuple[Scale, ...]

    def at_half_precision(self) -> Look:
        """With covariances, nearly all of a package, as float16: scores change by less than a hundredth of a spread."""
        return replace(self, gaussians=replace(self.gaussians, root=self.gaussians.root.astype(np.float16)))

    def whitened(self, features: ArrayT, kept: ArrayT | None = None) -> ArrayT:
        """(n, cells, d), 0 where (n, height, width) cells are not kept; all are kept unless given."""
        whitened = self.whitening(features)
        return whitened if kept is None else whitened * xp.reshape(kept, (kept.shape[0], self.grid.cells, 1))

    def maps(self, features: ArrayT, kept: ArrayT | None = None) -> list[ArrayT]:
        """(n, height, width) each, in spreads of normal images at that place, as `leveled` where cells are ignored."""
        raw = log_maps(features, self.whitening(features), self.gaussians, self.memory, kept)
        return [leveled(scale(each), kept) for scale, each in zip(self.scales, raw, strict=True)]


def log_maps(
    features: ArrayT, whitened: ArrayT, gaussians: Gaussians, memory: Memory | None, kept: ArrayT | None = None
) -> list[ArrayT]:
    """(n, height, width) logarithms of distances, averaged over those of 3 x 3 cells that are kept."""
    grid = gaussians.grid
    distances = [gaussians(whitened)]
    if memory is not None:
        distances.append(xp.reshape(memory(features), (features.shape[0], grid.height, grid.width)))
    rows, columns = (window_matrix(size, _SMOOTH_REACH) for size in (grid.height, grid.width))
    logs = [xp.log(each + _LOG_FLOOR) for each in distances]
    if kept is None:
        return [_between(rows, each, columns) for each in logs]
    weight = xp.maximum(_between(rows, kept, columns), _NONE_KEPT)
    return [_between(rows, each * kept, columns) / weight for each in logs]


def leveled(maps: ArrayT, kept: ArrayT | None) -> ArrayT:
    """(n, height, width), the image's mean where cells are not kept: no maximum is there, and no mean moves.

    Any constant would be the maximum of an image that is more usual than that throughout.
    """
    if kept is None:
        return maps
    mean = xp.sum(maps * kept, (1, 2), keepdims=True) / xp.maximum(xp.sum(kept, (1, 2), keepdims=True), 1.0)
    leveled_maps: ArrayT = maps * kept + mean * (1.0 - kept)
    return leveled_maps


def enlarged(each: ArrayT, height: int, width: int) -> ArrayT:
    """(n, h, w) to (n, height, width), bilinear, cells being areas."""
    if each.shape[1:] == (height, width):
        return each
    return _between(interpolation_matrix(each.shape[1], height), each, interpolation_matrix(each.shape[2], width))


def _between(rows: FloatArray, maps: ArrayT, columns: FloatArray) -> ArrayT:
    """rows @ map @ columns.T for each of the maps."""
    across: ArrayT = maps @ columns.T
    down = xp.transpose(xp.transpose(across, (0, 2, 1)) @ rows.T, (0, 2, 1))
    return down
