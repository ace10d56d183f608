"""What normal images look like: Gaussians of features place by place, and a memory of patches.

Formulas take arrays and graph values alike. Features are (n, cells, d), cells row by row over a grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.estimators.resampling import weighted_window_mean
from relook.learning.graph.xp import ArrayT, xp

_SHRINKAGE = 0.1  # few images leave a covariance singular; .2 gained nothing (docs/engine.md)
_MEAN_REACH = 2  # cells: means are pooled over 5 x 5 places, so that a part may lie a little otherwise
_EIGENVALUE_FLOOR = 0.01  # of the mean one; directions that hardly vary would drown the others
_MIN_VARIANCE = 0.05  # of whitened features: where nothing ever varies a little must not be infinitely odd
BANK_SIZE = 256  # more told no more, on nine real sets
_POOL = 20_000  # cells that a memory is chosen from: time grows with their number
_SKETCH = 32  # dimensions: the lengths of random projections are off by 1 / sqrt(2 x 32), an eighth
_SMALL = 16  # rows: halving them further would cost more calls than it saves work


@dataclass(frozen=True)
class Whitening:
    """Features without correlation, of variance one on normal images.

    Attributes:
        center: (c,).
        matrix: (c, d).
    """

    center: FloatArray
    matrix: FloatArray

    def __call__(self, features: ArrayT) -> ArrayT:
        """(n, cells, c) to (n, cells, d)."""
        return (features - self.center) @ self.matrix


def fit_whitening(cells: FloatArray, dimensions: int) -> Whitening:
    """Of (n, c) features of normal cells; the leading directions, as many as there are at most."""
    center = cells.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(np.cov((cells - center).T))
    kept = np.argsort(-values, kind="stable")[:dimensions]
    scale = np.sqrt(np.maximum(values[kept], 0) + _EIGENVALUE_FLOOR * values.mean() + 1e-6)
    return Whitening(center.astype(np.float32), (vectors[:, kept] / scale).astype(np.float32))


@dataclass(frozen=True)
class Grid:
    """Cells, and the square blocks of them that share a covariance.

    Attributes:
        block: cells a side; height and width are multiples of it.
    """

    height: int
    width: int
    block: int

    @property
    def cells(self) -> int:
        """How many there are."""
        return self.height * self.width

    @property
    def blocks(self) -> tuple[int, int]:
        """Rows and columns of blocks."""
        return self.height // self.block, self.width // self.block

    @property
    def count(self) -> int:
        """Of blocks."""
        rows, columns = self.blocks
        return rows * columns

    def in_blocks(self, x: ArrayT) -> ArrayT:
        """(n, cells, d) to (n, blocks, block * block, d)."""
        n, _, d = x.shape
        (rows, columns), side = self.blocks, self.block
        fields = xp.transpose(xp.reshape(x, (n, rows, side, columns, side, d)), (0, 1, 3, 2, 4, 5))
        return xp.reshape(fields, (n, rows * columns, side * side, d))

    def from_blocks(self, x: ArrayT) -> ArrayT:
        """(n, blocks, block * block) to (n, height, width)."""
        (rows, columns), side = self.blocks, self.block
        fields = xp.transpose(xp.reshape(x, (x.shape[0], rows, columns, side, side)), (0, 1, 3, 2, 4))
        return xp.reshape(fields, (x.shape[0], self.height, self.width))


@dataclass(frozen=True)
class CellSums:
    """Sums over normal images, so that leaving some out is a subtraction.

    Attributes:
        count: (cells,) images in which a cell is not ignored.
        first: (cells, d) of whitened features.
        second: (blocks, d, d) of their outer products.
    """

    count: FloatArray
    first: FloatArray
    second: FloatArray

    @classmethod
    def of(cls, whitened: FloatArray, grid: Grid, kept: FloatArray | None = None) -> Self:
        """Of (n, cells, d), 0 where (n, cells) are not kept; all are kept unless given."""
        fields = grid.in_blocks(whitened).transpose(1, 0, 2, 3).reshape(grid.count, -1, whitened.shape[2])
        count = np.full(grid.cells, len(whitened), np.float32) if kept is None else kept.sum(axis=0)
        return cls(count, whitened.sum(axis=0), np.matmul(fields.transpose(0, 2, 1), fields))

    def __add__(self, other: CellSums) -> CellSums:
        return CellSums(self.count + other.count, self.first + other.first, self.second + other.second)

    def __sub__(self, other: CellSums) -> CellSums:
        return CellSums(self.count - other.count, self.first - other.first, self.second - other.second)


@dataclass(frozen=True)
class Gaussians:
    """One per cell: its own mean, the covariance of its block.

    Attributes:
        mean: (cells, d).
        root: (blocks, d, d); a difference times this has its Mahalanobis distance for length.
    """

    grid: Grid
    mean: FloatArray
    root: FloatArray

    def __call__(self, whitened: ArrayT) -> ArrayT:
        """(n, cells, d) to (n, height, width): root mean squared Mahalanobis distance per dimension."""
        lengths = xp.mean(xp.square(self.grid.in_blocks(whitened - self.mean) @ self.root), 3)
        return self.grid.from_blocks(xp.sqrt(lengths))


def fit_gaussians(sums: CellSums, grid: Grid) -> Gaussians:
    """Means over 5 x 5 cells; covariances of a block and its neighbours about those means, shrunk to a sphere.

    One covariance for 2 x 2 cells of a 32 x 32 grid told as much as one for each cell, in a quarter of the room. Every
    cell weighs as much as it was seen.
    """
    d = sums.first.shape[1]
    count = sums.count.reshape(grid.height, grid.width, 1)
    mean = weighted_window_mean(sums.first.reshape(grid.height, grid.width, d), count, _MEAN_REACH)
    mean = mean.reshape(grid.cells, d)
    # (blocks, cells of a block, d)
    counts, firsts, means = (grid.in_blocks(each[None])[0] for each in (count.reshape(-1, 1), sums.first, mean))
    cross = np.matmul(firsts.transpose(0, 2, 1), means)
    about = np.matmul((counts * means).transpose(0, 2, 1), means) - cross - cross.transpose(0, 2, 1)
    rows, columns = grid.blocks
    products, in_blocks = (sums.second + about).reshape(rows, columns, d * d), counts.sum(axis=1)
    covariance = weighted_window_mean(products, in_blocks.reshape(rows, columns, 1), 1).reshape(-1, d, d)
    variance = np.maximum(np.trace(covariance, axis1=1, axis2=2) / d, _MIN_VARIANCE)[:, None, None]
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * variance * np.eye(d, dtype=np.float32)
    root = _inverse_of_lower(np.linalg.cholesky(covariance)).transpose(0, 2, 1)
    return Gaussians(grid, mean, np.ascontiguousarray(root))


@dataclass(frozen=True)
class Memory:
    """Patches of normal images, wherever they were seen.

    Attributes:
        spread: (c,) of the features, which are not projected: what tells patches apart may be rare.
        bank: (patches, c) in those spreads.
    """

    spread: FloatArray
    bank: FloatArray

    def __call__(self, features: ArrayT) -> ArrayT:
        """(n, cells, c) to (n, cells): root mean squared distance from the nearest patch, in spreads.

        Source: Roth et al. 2022, "Towards Total Recall in Industrial Anomaly Detection".
        """
        x = features / self.spread
        lengths = (self.bank**2).sum(axis=1)
        nearest = xp.min(lengths - 2.0 * (x @ self.bank.T), 2) + xp.sum(xp.square(x), 2)
        squares: ArrayT = xp.maximum(nearest, 0.0) / float(len(self.spread))
        return xp.sqrt(squares)


def fit_memory(
    features: NDArray[np.float16],
    images: NDArray[np.intp],
    spread: FloatArray,
    generator: np.random.Generator,
    kept: FloatArray | None = None,
) -> Memory:
    """A greedy coreset of the cells of some of (n, cells, c) features: each the one farthest from those before.

    Distances are measured in a random projection, which keeps them nearly (Johnson and Lindenstrauss 1984).

    Args:
        kept: (n, cells), 0 for those that are ignored; all are kept unless given.
    """
    cells = features.shape[1]
    drawn = generator.permutation(len(images) * cells)
    if kept is not None:
        drawn = drawn[kept[images].ravel()[drawn] > 0]
    drawn = drawn[:_POOL]
    pool = features[images[drawn // cells], drawn % cells].astype(np.float32) / spread
    sketch = pool @ generator.normal(0, _SKETCH**-0.5, (pool.shape[1], _SKETCH)).astype(np.float32)
    lengths = np.square(sketch).sum(axis=1)
    chosen, distance = [0], np.full(len(pool), np.inf, np.float32)
    while len(chosen) < min(BANK_SIZE, len(pool)):
        last = sketch[chosen[-1]]
        distance = np.minimum(distance, lengths - 2 * (sketch @ last) + last @ last)
        chosen.append(int(distance.argmax()))
    return Memory(spread, pool[chosen])


def _inverse_of_lower(lower: FloatArray) -> FloatArray:
    """Of (n, d, d) lower triangular matrices, by halves: ten times as fast as inverting them as if they were full."""
    size = lower.shape[1]
    if size <= _SMALL:
        return np.linalg.inv(lower)
    half = size // 2
    first, second = _inverse_of_lower(lower[:, :half, :half]), _inverse_of_lower(lower[:, half:, half:])
    whole = np.zeros_like(lower)
    whole[:, :half, :half], whole[:, half:, half:] = first, second
    whole[:, half:, :half] = -second @ (lower[:, half:, :half] @ first)
    return whole
