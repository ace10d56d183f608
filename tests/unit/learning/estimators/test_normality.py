"""What is normal, against scipy, scikit-learn and plain loops; every formula as a graph too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial import distance
from sklearn.covariance import empirical_covariance, shrunk_covariance
from sklearn.decomposition import PCA
from sklearn.metrics import pairwise_distances
from sklearn.neighbors import NearestNeighbors

from relook.detection.arrays import FloatArray
from relook.learning.estimators import normality
from relook.learning.estimators.normality import (
    CellSums,
    Gaussians,
    Grid,
    Memory,
    Whitening,
    fit_gaussians,
    fit_memory,
    fit_whitening,
)
from relook.learning.estimators.resampling import window_mean
from tests.unit.learning.graph.running import run

GRID = Grid(6, 8, 2)
D = 5
SHRINKAGE, MEAN_REACH, MIN_VARIANCE = normality._SHRINKAGE, normality._MEAN_REACH, normality._MIN_VARIANCE


def some_whitened(count: int, seed: int = 0, grid: Grid = GRID, dimensions: int = D) -> FloatArray:
    """(n, cells, d) with another mean at every place, and columns that go together."""
    random = np.random.default_rng(seed)
    noise = random.normal(0, 1, (count, grid.cells, dimensions))
    noise[..., 1] += noise[..., 0]
    place = np.random.default_rng(99).normal(0, 1, (grid.cells, dimensions))
    return np.asarray(place + noise, np.float32)


def near(size: int, place: int, reach: int) -> range:
    return range(max(place - reach, 0), min(place + reach, size - 1) + 1)


def slow_gaussians(
    whitened: FloatArray, grid: Grid
) -> tuple[NDArray[np.float64], dict[tuple[int, int], NDArray[np.float64]]]:
    """Means (height, width, d), and the covariance of every block (row, column), written out."""
    d = whitened.shape[2]
    fields = whitened.astype(np.float64).reshape(len(whitened), grid.height, grid.width, d)
    own = fields.mean(axis=0)
    means = np.empty_like(own)
    for y in range(grid.height):
        means[y] = [own[y, near(grid.width, x, MEAN_REACH)].mean(axis=0) for x in range(grid.width)]
    means = np.stack([means[near(grid.height, y, MEAN_REACH)].mean(axis=0) for y in range(grid.height)])
    rows, columns = grid.blocks
    of_block = {}
    for row in range(rows):
        for column in range(columns):
            at = np.s_[
                row * grid.block : (row + 1) * grid.block,
                column * grid.block : (column + 1) * grid.block,
            ]
            off = (fields[:, *at] - means[at]).reshape(-1, d)
            of_block[row, column] = off.T @ off / len(off)
    smooth = {}
    for row in range(rows):
        for column in range(columns):
            around = [np.mean([of_block[r, c] for c in near(columns, column, 1)], axis=0) for r in near(rows, row, 1)]
            covariance = np.mean(around, axis=0)
            sphere = max(np.trace(covariance) / d, MIN_VARIANCE) * np.eye(d)
            smooth[row, column] = (1 - SHRINKAGE) * covariance + SHRINKAGE * sphere
    return means, smooth


@pytest.mark.parametrize("grid", [GRID, Grid(5, 7, 1), Grid(8, 4, 4)])
def test_the_map_is_the_mahalanobis_distance_from_each_places_gaussian(grid: Grid) -> None:
    normals, query = some_whitened(9, grid=grid), some_whitened(2, seed=9, grid=grid)

    gaussians = fit_gaussians(CellSums.of(normals, grid), grid)

    means, covariances = slow_gaussians(normals, grid)
    expected = np.empty((2, grid.height, grid.width))
    asked = query.reshape(2, grid.height, grid.width, D)
    for image, y, x in np.ndindex(expected.shape):
        precision = np.linalg.inv(covariances[y // grid.block, x // grid.block])
        expected[image, y, x] = distance.mahalanobis(asked[image, y, x], means[y, x], precision) / np.sqrt(D)
    np.testing.assert_allclose(gaussians.mean.reshape(means.shape), means, atol=1e-5)
    np.testing.assert_allclose(gaussians(query), expected, rtol=1e-3)
    np.testing.assert_allclose(run(gaussians, query), gaussians(query), rtol=1e-4)


def test_a_covariance_is_shrunk_as_scikit_learn_shrinks_it() -> None:
    """Where means and blocks do not differ, all that is left is the shrunk covariance of all samples."""
    grid = Grid(1, 1, 1)
    samples = some_whitened(50, grid=grid)
    gaussians = fit_gaussians(CellSums.of(samples, grid), grid)
    expected = shrunk_covariance(empirical_covariance(samples[:, 0].astype(float)), shrinkage=SHRINKAGE)
    actual = np.linalg.inv(gaussians.root[0] @ gaussians.root[0].T)
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


def test_at_half_precision_distances_hardly_change() -> None:
    normals, query = some_whitened(9), some_whitened(1, seed=9)
    full = fit_gaussians(CellSums.of(normals, GRID), GRID)
    half = Gaussians(GRID, full.mean, full.root.astype(np.float16))
    np.testing.assert_allclose(run(half, query), full(query), rtol=5e-3)


def test_what_never_varies_is_not_infinitely_odd() -> None:
    still = np.ones((6, GRID.cells, D), np.float32)
    gaussians = fit_gaussians(CellSums.of(still, GRID), GRID)
    assert gaussians(still).max() == pytest.approx(0, abs=1e-4)
    least = 0.1 / np.sqrt(SHRINKAGE * MIN_VARIANCE)
    np.testing.assert_allclose(gaussians(still + np.float32(0.1)), least, rtol=1e-3)


def test_a_cell_is_learned_from_the_images_that_show_it() -> None:
    normals, random = some_whitened(9), np.random.default_rng(3)
    whole = fit_gaussians(CellSums.of(normals[:5], GRID), GRID)
    kept = np.zeros((9, GRID.cells), np.float32)
    kept[:5] = 1
    part = fit_gaussians(CellSums.of(normals * kept[..., None], GRID, kept), GRID)
    np.testing.assert_allclose(part.mean, whole.mean, atol=1e-5)
    np.testing.assert_allclose(part.root, whole.root, rtol=1e-3, atol=1e-4)

    kept = (random.random((9, GRID.cells)) < 0.6).astype(np.float32)
    kept[:, : GRID.width * 2] = 0  # nobody sees the uppermost rows
    actual = fit_gaussians(CellSums.of(normals * kept[..., None], GRID, kept), GRID)
    assert np.isfinite(actual.root).all()
    fields, shown = (each.reshape(9, GRID.height, GRID.width, -1) for each in (normals, kept))
    for y, x in ((4, 4), (5, 0), (2, 2)):
        window = np.s_[:, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        expected = (fields[window] * shown[window]).sum(axis=(0, 1, 2)) / shown[window].sum()
        np.testing.assert_allclose(actual.mean.reshape(GRID.height, GRID.width, -1)[y, x], expected, atol=1e-5)


def test_a_memory_has_no_patch_that_was_ignored() -> None:
    features = np.random.default_rng(0).normal(0, 1, (6, 30, 4)).astype(np.float16)
    kept = np.ones((6, 30), np.float32)
    kept[:, 10:20] = 0
    features[:, 10:20] += 50
    bank = fit_memory(features, np.arange(6), np.ones(4, np.float32), np.random.default_rng(1), kept).bank
    assert len(bank) == 6 * 20
    assert bank.max() < 20


@settings(max_examples=20, deadline=None)
@given(images=st.lists(st.booleans(), min_size=3, max_size=9).filter(lambda kept: sum(kept) >= 2))
def test_leaving_images_out_is_a_subtraction(images: list[bool]) -> None:
    normals, kept = some_whitened(len(images)), np.array(images)
    rest = CellSums.of(normals, GRID) - CellSums.of(normals[~kept], GRID)
    again = CellSums.of(normals[kept], GRID)
    added = CellSums.of(normals[kept][:1], GRID) + CellSums.of(normals[kept][1:], GRID)
    for sums in (rest, again, added):
        assert (sums.count == kept.sum()).all()
    for sums in (rest, added):
        actual, expected = fit_gaussians(sums, GRID), fit_gaussians(again, GRID)
        np.testing.assert_allclose(actual.mean, expected.mean, atol=1e-4)
        np.testing.assert_allclose(actual.root, expected.root, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("size", [1, 5, 16, 17, 40, 100])
def test_triangles_are_inverted(size: int) -> None:
    lower = np.tril(np.random.default_rng(0).normal(0, 0.2, (3, size, size))) + 2 * np.eye(size)
    actual = normality._inverse_of_lower(lower.astype(np.float32))
    np.testing.assert_allclose(actual, np.linalg.inv(lower), atol=1e-4)


def test_blocks_hold_the_cells_that_lie_together_and_give_them_back() -> None:
    grid = Grid(4, 6, 2)
    places = np.arange(24).reshape(1, 24, 1)
    blocks = grid.in_blocks(places)
    assert (grid.cells, grid.blocks, grid.count) == (24, (2, 3), 6)
    assert blocks[0, :2, :, 0].tolist() == [[0, 1, 6, 7], [2, 3, 8, 9]]
    np.testing.assert_array_equal(grid.from_blocks(blocks[..., 0])[0], np.arange(24).reshape(4, 6))


def test_whitening_is_a_damped_pca() -> None:
    random = np.random.default_rng(0)
    mixed = random.normal(0, 1, (2500, 70)) @ random.normal(0, 1, (70, 70)) + random.normal(0, 5, 70)
    rows = mixed.astype(np.float32)

    whitening = fit_whitening(rows, 60)

    pca = PCA(n_components=60, whiten=True, svd_solver="full").fit(rows.astype(float))
    damped = np.sqrt(pca.explained_variance_ + normality._EIGENVALUE_FLOOR * rows.var(axis=0, ddof=1).mean() + 1e-6)
    expected = pca.transform(rows) * np.sqrt(pca.explained_variance_) / damped
    actual = whitening(rows[None])[0]
    signs = np.sign((actual * expected).sum(axis=0))
    np.testing.assert_allclose(actual * signs, expected, atol=5e-3)
    covariance = np.cov(actual.T)
    np.testing.assert_allclose(covariance - np.diag(np.diag(covariance)), 0, atol=0.02)
    assert (np.diag(covariance) < 1.01).all()
    some = rows[None, :40]
    np.testing.assert_allclose(run(whitening, some), whitening(some), rtol=1e-4, atol=1e-4)


def test_a_direction_without_variance_is_not_blown_up_and_there_are_no_more_than_there_are() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (500, 8)).astype(np.float32)
    rows[:, 3] = 7.0
    whitening = fit_whitening(rows, 100)
    assert whitening.matrix.shape == (8, 8)
    assert np.abs(whitening.matrix[3]).max() < 11
    assert np.abs(whitening(rows[None])).max() < 6


def some_features(count: int, channels: int = 6, cells: int = 40, seed: int = 0) -> NDArray[np.float16]:
    return np.random.default_rng(seed).normal(1, 1, (count, cells, channels)).astype(np.float16)


def test_memory_looks_up_the_nearest_patch() -> None:
    features, spread = some_features(3), np.linspace(0.5, 3, 6, dtype=np.float32)
    memory = fit_memory(features, np.array([0, 2]), spread, np.random.default_rng(0))
    query = some_features(2, seed=7).astype(np.float32)

    nearest, _ = NearestNeighbors(n_neighbors=1).fit(memory.bank).kneighbors((query / spread).reshape(-1, 6))

    expected = nearest.reshape(2, 40) / np.sqrt(6)
    np.testing.assert_allclose(memory(query), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(run(memory, query), memory(query), rtol=1e-4, atol=1e-4)
    seen = features[2].astype(np.float32)
    own = Memory(spread, (seen / spread)[:10])
    np.testing.assert_allclose(own(seen[None, :10]), 0, atol=2e-3)


def test_memory_holds_cells_of_the_images_it_was_given_only() -> None:
    features, ones = some_features(4), np.ones(6, np.float32)
    memory = fit_memory(features, np.array([1, 3]), ones, np.random.default_rng(0))
    own = {cell.astype(np.float32).tobytes() for image in (1, 3) for cell in features[image]}
    assert {patch.tobytes() for patch in memory.bank} == own, "with fewer cells than room, all of them"
    again = fit_memory(features, np.array([1, 3]), ones, np.random.default_rng(0))
    np.testing.assert_array_equal(memory.bank, again.bank)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_memory_spreads_out_nearly_as_far_as_a_greedy_one(seed: int) -> None:
    """Each patch is about the farthest from those before it; about, since distances are measured in a projection."""
    features = np.random.default_rng(seed).normal(0, 1, (12, 50, 40)).astype(np.float16)
    bank = fit_memory(features, np.arange(12), np.ones(40, np.float32), np.random.default_rng(seed)).bank
    assert len(np.unique(bank, axis=0)) == len(bank) == normality.BANK_SIZE
    pool = features.reshape(-1, 40).astype(np.float64)
    kept = pairwise_distances(pool, bank)
    for count in (1, 10, 100):
        farthest = kept[:, :count].min(axis=1).max()
        own = distance.cdist(bank[count : count + 1], bank[:count]).min()
        assert own > 0.6 * farthest


def test_in_few_channels_the_coreset_is_the_greedy_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a slow one in the same projection."""
    monkeypatch.setattr(normality, "BANK_SIZE", 25)
    features = some_features(3)
    bank = fit_memory(features, np.arange(3), np.ones(6, np.float32), np.random.default_rng(4)).bank

    random = np.random.default_rng(4)
    pool = features.reshape(-1, 6).astype(np.float64)[random.permutation(120)]
    sketch = pool @ random.normal(0, normality._SKETCH**-0.5, (6, normality._SKETCH))
    apart = pairwise_distances(sketch)
    chosen = [0]
    while len(chosen) < 25:
        chosen.append(int(apart[:, chosen].min(axis=1).argmax()))
    np.testing.assert_allclose(bank, pool[chosen], atol=1e-3)


@pytest.mark.parametrize(("height", "width", "reach"), [(7, 9, 2), (3, 3, 5), (1, 6, 1), (4, 4, 0)])
def test_window_means_are_of_what_lies_inside(height: int, width: int, reach: int) -> None:
    field = np.random.default_rng(0).normal(0, 1, (height, width, 3)).astype(np.float32)
    expected = np.empty_like(field)
    for y in range(height):
        for x in range(width):
            rows, columns = near(height, y, reach), near(width, x, reach)
            expected[y, x] = field[np.ix_(rows, columns)].mean(axis=(0, 1))
    np.testing.assert_allclose(window_mean(field, reach), expected, atol=1e-5)


def test_whitening_moves_and_turns() -> None:
    whitening = Whitening(np.array([1.0, 2.0], np.float32), np.array([[2.0], [3.0]], np.float32))
    assert whitening(np.array([[[2.0, 2.0], [1.0, 4.0]]], np.float32)).tolist() == [[[2.0], [6.0]]]
