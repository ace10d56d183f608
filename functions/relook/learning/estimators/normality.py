"""What normal looks like: two memories of whitened features, fitted in numpy and asked as ONNX nodes.

`Gaussians` expects at every place what the normals showed there (parts that lie still); `Memory` looks for the most
similar patch of any normal, preferring near places (parts that move). Their maps are averaged later.
Sources: PaDiM (Defard et al. 2020) with covariances pooled over 5x5 cells; PatchCore (Roth et al. 2022) with the cell's
position appended to the patch and a smaller coreset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.old_graph import GraphBuilder, Tensor

MAP_GRID = 64
GAUSSIAN_GRID = 32
MAX_DIMENSIONS = 60
MEMORY_SIZE = 1000
_MEMORY_POOL = 8000
_WINDOW_REACH = 2
_SHRINKAGE = 0.1
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True)
class Whitening:
    """z = (x - mean) @ projection: unit variance in every kept direction of the normals' features.

    Attributes:
        mean: (D,).
        projection: (D, d).
    """

    mean: FloatArray
    projection: FloatArray

    @property
    def dimensions(self) -> int:
        """d, at most `MAX_DIMENSIONS`."""
        return int(self.projection.shape[1])


@dataclass(frozen=True)
class Gaussians:
    """One normal distribution per cell of a 32 x 32 grid.

    Attributes:
        mean: (1024, d).
        factor: (1024, d, d); the squared length of (z - mean) @ factor is the Mahalanobis distance squared.
    """

    mean: FloatArray
    factor: FloatArray


@dataclass(frozen=True)
class Memory:
    """Patches of the normals.

    Attributes:
        patches: (n, d + 2) whitened features and weighted position.
        position_weight: 1 where a place says what belongs there, 0 where the same may be anywhere.
    """

    patches: FloatArray
    position_weight: float


def fit_whitening(features: FloatArray) -> Whitening:
    """From (n, D) features of normals; directions of next to no variance are damped, not blown up."""
    mean = features.mean(axis=0, dtype=np.float64)
    values, vectors = np.linalg.eigh(_covariance(features - mean))
    kept = np.argsort(values)[::-1][:MAX_DIMENSIONS]
    scale = np.sqrt(np.maximum(values[kept], 0) + 0.01 * values.mean() + 1e-6)
    return Whitening(mean.astype(np.float32), (vectors[:, kept] / scale).astype(np.float32))


@dataclass(frozen=True)
class CellSums:
    """Sums over images per cell, which is all that `Gaussians` need; they add and subtract, so folds are cheap.

    Attributes:
        count: images.
        first: (1024, d) sum of z.
        second: (1024, d, d) sum of z z'.
    """

    count: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]

    @classmethod
    def of(cls, whitened: FloatArray) -> CellSums:
        """From (n, d, 64, 64) whitened features."""
        count, dimensions = whitened.shape[:2]
        blocks = whitened.reshape(count, dimensions, GAUSSIAN_GRID, 2, GAUSSIAN_GRID, 2).mean(axis=(3, 5))
        cells = blocks.reshape(count, dimensions, -1).transpose(2, 0, 1)
        return cls(count, cells.sum(axis=1, dtype=np.float64), (cells.transpose(0, 2, 1) @ cells).astype(np.float64))

    def __add__(self, other: CellSums) -> CellSums:
        return CellSums(self.count + other.count, self.first + other.first, self.second + other.second)

    def __sub__(self, other: CellSums) -> CellSums:
        return CellSums(self.count - other.count, self.first - other.first, self.second - other.second)


def fit_gaussians(sums: CellSums) -> Gaussians:
    """Mean and covariance of each cell over its 5 x 5 neighbourhood, shrunk towards a round one."""
    dimensions = sums.first.shape[1]
    mean = _window_mean((sums.first / sums.count).astype(np.float32))
    second = (sums.second / sums.count).astype(np.float32)
    covariance = _window_mean(second.reshape(len(mean), -1)).reshape(second.shape)
    covariance -= mean[:, :, None] * mean[:, None, :]
    spread = np.maximum(np.trace(covariance, axis1=1, axis2=2) / dimensions, 0.05)
    covariance *= 1 - _SHRINKAGE
    covariance[:, range(dimensions), range(dimensions)] += _SHRINKAGE * spread[:, None]
    return Gaussians(mean, _inverse_of_lower(np.linalg.cholesky(covariance)).transpose(0, 2, 1))


def fit_memory(
    whitened: FloatArray, images: NDArray[np.intp], position_weight: float, generator: np.random.Generator
) -> Memory:
    """A coreset of the patches of some images.

    Args:
        whitened: (n, d, 64, 64).
        images: which of the n to remember.
    """
    dimensions, available = whitened.shape[1], len(images) * MAP_GRID**2
    drawn = generator.choice(available, min(_MEMORY_POOL, available), replace=False)
    index, cell = np.divmod(np.sort(drawn), MAP_GRID**2)
    patches = whitened.reshape(len(whitened), dimensions, -1)[images[index], :, cell]
    pool = np.concatenate([patches, _weighted_positions(dimensions, position_weight)[cell]], axis=1)
    return Memory(pool[coreset(pool, MEMORY_SIZE, generator)], position_weight)


def coreset(pool: FloatArray, size: int, generator: np.random.Generator) -> list[int]:
    """A greedy choice of rows: each next one is the farthest from those taken."""
    lengths, columns = (pool**2).sum(axis=1), np.ascontiguousarray(pool.T)
    taken = [int(generator.integers(len(pool)))]
    distance = np.full(len(pool), np.inf, np.float32)
    while len(taken) < min(size, len(pool)):
        last = taken[-1]
        # einsum, not BLAS: a thousand products this small cost BLAS more in waking threads than in arithmetic
        products = np.einsum("ji,j->i", columns, pool[last])
        np.minimum(distance, lengths + lengths[last] - 2 * products, out=distance)
        taken.append(int(distance.argmax()))
    return taken


def whitening_nodes(graph: GraphBuilder, features: Tensor, whitening: Whitening) -> Tensor:
    """Nodes from (1, D, g, g) to (1, d, g, g)."""
    kernel = whitening.projection.T[:, :, None, None]
    return graph.convolve(features, kernel, bias=-whitening.mean @ whitening.projection)


def gaussian_map(graph: GraphBuilder, whitened: Tensor, gaussians: Gaussians) -> Tensor:
    """Nodes from (1, d, 64, 64) to (1, 1, 64, 64): root mean squared Mahalanobis distance of each cell."""
    cells, dimensions = gaussians.mean.shape
    blocks = graph.to_grid(whitened, dimensions, MAP_GRID, GAUSSIAN_GRID)
    rows = graph.node("Transpose", graph.reshape(blocks, dimensions, cells), perm=[1, 0])
    centred = graph.node("Sub", rows, graph.constant(gaussians.mean))
    straight = graph.node("MatMul", graph.reshape(centred, cells, 1, dimensions), graph.constant(gaussians.factor))
    distance = graph.node("Sqrt", graph.mean(graph.node("Mul", straight, straight), 1, 2))
    coarse = graph.reshape(distance, 1, 1, GAUSSIAN_GRID, GAUSSIAN_GRID)
    return graph.to_grid(coarse, 1, GAUSSIAN_GRID, MAP_GRID)


def memory_map(graph: GraphBuilder, whitened: Tensor, memory: Memory) -> Tensor:
    """Nodes from (1, d, 64, 64) to (1, 1, 64, 64): distance to the nearest remembered patch, over sqrt(d + 2)."""
    cells, width = MAP_GRID**2, memory.patches.shape[1]
    rows = graph.node("Transpose", graph.reshape(whitened, width - 2, cells), perm=[1, 0])
    positions = graph.constant(_weighted_positions(width - 2, memory.position_weight))
    query = graph.node("Concat", rows, positions, axis=1)
    lengths = (memory.patches**2).sum(axis=1)
    # |q - p|^2 = |q|^2 + (|p|^2 - 2 q.p), the bracket as one matrix product
    bracket = graph.node("Gemm", query, graph.constant(-2 * memory.patches.T), graph.constant(lengths))
    nearest = graph.node("ReduceMin", bracket, graph.constant(np.array([1])), keepdims=0)
    own = graph.node("ReduceSum", graph.node("Mul", query, query), graph.constant(np.array([1])), keepdims=0)
    mean_square = graph.node("Mul", graph.node("Relu", graph.node("Add", nearest, own)), graph.constant(1 / width))
    return graph.reshape(graph.node("Sqrt", mean_square), 1, 1, MAP_GRID, MAP_GRID)


def _covariance(centred: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of (n, D) rows, by blocks: one product over all rows would hold a copy of them for every thread of BLAS."""
    total = np.zeros((centred.shape[1], centred.shape[1]))
    for start in range(0, len(centred), _ROWS_AT_ONCE):
        block = centred[start : start + _ROWS_AT_ONCE]
        total += block.T @ block
    return total / len(centred)


def _weighted_positions(dimensions: int, weight: float) -> FloatArray:
    """(4096, 2): (y, x) in [-1, 1]; of weight 1 they are as heavy as all feature dimensions together."""
    axis = (np.arange(MAP_GRID) + 0.5) / MAP_GRID * 2 - 1
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(grid * weight * np.sqrt(dimensions), np.float32)


def _inverse_of_lower(matrices: FloatArray) -> FloatArray:
    """Of (n, d, d) lower triangular matrices, by quarters: three times as fast as LAPACK, which ignores the zeros."""
    size = matrices.shape[-1]
    if size <= 16:
        return np.linalg.inv(matrices)
    half = size // 2
    inverse = np.zeros_like(matrices)
    inverse[:, :half, :half] = _inverse_of_lower(matrices[:, :half, :half])
    inverse[:, half:, half:] = _inverse_of_lower(matrices[:, half:, half:])
    inverse[:, half:, :half] = -inverse[:, half:, half:] @ (matrices[:, half:, :half] @ inverse[:, :half, :half])
    return inverse


def _window_mean(cells: FloatArray) -> FloatArray:
    """Mean of (1024, k) over the 5 x 5 neighbourhood, smaller at the border."""
    grid = cells.reshape(GAUSSIAN_GRID, GAUSSIAN_GRID, -1)
    places = np.arange(GAUSSIAN_GRID)
    width = 1 + np.minimum(places, _WINDOW_REACH) + np.minimum(places[::-1], _WINDOW_REACH)
    for axis in (0, 1):
        lines = np.moveaxis(grid, axis, 0)
        total = lines.copy()
        for shift in range(1, _WINDOW_REACH + 1):
            total[shift:] += lines[:-shift]
            total[:-shift] += lines[shift:]
        total /= width[:, None, None]
        grid = np.moveaxis(total, 0, axis)
    return grid.reshape(cells.shape)
