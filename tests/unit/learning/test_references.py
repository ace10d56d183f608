"""The engine's numerics against scikit-learn and scipy, on small arrays."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, stats
from scipy.spatial import distance
from sklearn.covariance import empirical_covariance, shrunk_covariance
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, pairwise_distances, roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.neighbors import NearestNeighbors

import relook
from relook.detection.session import Session
from relook.learning.estimators import evidence
from relook.learning.estimators.alignment import undo_nodes
from relook.learning.estimators.calibration import fit_platt, median_and_spread
from relook.learning.estimators.evidence import blur_nodes, usual_scale
from relook.learning.estimators.head import fit_head
from relook.learning.estimators.normality import CellSums, coreset, fit_gaussians, fit_memory, fit_whitening, memory_map
from relook.learning.old_graph import GraphBuilder, Tensor
from relook.learning.validation.evaluation import ImageOutcome, evaluate, type_metrics
from relook.learning.validation.metrics import average_precision, expected_calibration_error, roc_auc

GRID = 64
Floats = NDArray[np.float64]

labelled_scores = (
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60)
    .filter(lambda pairs: len({label for _, label in pairs}) == 2)
    .map(lambda pairs: (np.array([score / 20 for score, _ in pairs]), np.array([label for _, label in pairs])))
)


@given(labelled_scores)
def test_ranking_metrics(scores_and_label: tuple[Floats, NDArray[np.bool_]]) -> None:
    scores, label = scores_and_label
    assert roc_auc(scores, label) == pytest.approx(roc_auc_score(label, scores))
    assert average_precision(scores, label) == pytest.approx(average_precision_score(label, scores))


@given(labelled_scores)
def test_calibration_error(scores_and_label: tuple[Floats, NDArray[np.bool_]]) -> None:
    probabilities, label = scores_and_label
    expected = 0.0
    for low in range(10):
        inside = [i for i, p in enumerate(probabilities) if low <= p * 10 < low + 1 or (low == 9 and p == 1)]
        if inside:
            gap = sum(probabilities[i] for i in inside) / len(inside) - sum(label[i] for i in inside) / len(inside)
            expected += len(inside) / len(label) * abs(gap)
    assert expected_calibration_error(probabilities, label) == pytest.approx(expected)
    outcomes = [
        ImageOutcome("image", bool(odd), p >= 0.5, 0.5, 0.0) for p, odd in zip(probabilities, label, strict=True)
    ]
    assert evaluate("protocol", outcomes, probabilities, []).calibration_error == pytest.approx(expected)


@given(st.integers(0, 1000))
def test_overlap_metrics(seed: int) -> None:
    truth, found = np.random.default_rng(seed).integers(0, 3, (2, 6, 8), np.uint8)
    metrics = type_metrics("crack", 1, [found], [truth])
    flat = truth.ravel() == 1, found.ravel() == 1
    assert metrics.f1 == pytest.approx(f1_score(*flat, zero_division=0))
    assert metrics.iou == pytest.approx(jaccard_score(*flat, zero_division=0))


def test_median_and_spread() -> None:
    values = np.random.default_rng(0).gamma(2, 3, (41, 5))
    center, spread = median_and_spread(values)
    np.testing.assert_allclose(center, np.median(values, axis=0))
    np.testing.assert_allclose(spread, stats.median_abs_deviation(values, axis=0, scale="normal"), rtol=1e-5)


def test_platt_is_logistic_regression_on_softened_targets() -> None:
    random = np.random.default_rng(3)
    label = np.arange(60) < 20
    scores = random.normal(0, 1, 60) + 1.2 * label
    fitted = fit_platt(scores, label)

    target = np.where(label, 21 / 22, 1 / 42)
    standard = ((scores - scores.mean()) / scores.std())[:, None]
    both = LogisticRegression(C=100, tol=1e-10, max_iter=1000).fit(
        np.concatenate([standard, standard]), np.repeat([1, 0], 60), np.concatenate([target, 1 - target])
    )
    log_odds = both.decision_function(standard)
    np.testing.assert_allclose((scores - fitted.center) / fitted.scale, log_odds, rtol=1e-4, atol=1e-5)


def test_whitening_is_a_damped_pca() -> None:
    random = np.random.default_rng(0)
    rows = (random.normal(0, 1, (2500, 70)) @ random.normal(0, 1, (70, 70)) + random.normal(0, 5, 70)).astype(
        np.float32
    )

    whitening = fit_whitening(rows)

    pca = PCA(n_components=60, whiten=True, svd_solver="full").fit(rows.astype(float))
    variance = pca.explained_variance_ * (len(rows) - 1) / len(rows)
    damped = np.sqrt(variance + 0.01 * rows.var(axis=0, dtype=np.float64).mean() + 1e-6)
    expected = pca.transform(rows) * np.sqrt(pca.explained_variance_) / damped
    found = (rows - whitening.mean) @ whitening.projection
    assert whitening.dimensions == 60
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=2e-3)
    np.testing.assert_allclose(whitening.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-5)


def test_a_direction_without_variance_is_not_blown_up() -> None:
    rows = np.random.default_rng(0).normal(0, 1, (500, 8)).astype(np.float32)
    rows[:, 3] = 7.0
    whitening = fit_whitening(rows)
    assert np.abs(whitening.projection[3]).max() < 11
    assert np.abs((rows - whitening.mean) @ whitening.projection).max() < 6


def test_gaussians_are_shrunk_covariances() -> None:
    dimensions = 6
    mixed = np.random.default_rng(1).normal(0, 1, (9, dimensions, GRID, GRID)).astype(np.float32)
    mixed[:, 1] += mixed[:, 0]

    fitted = fit_gaussians(CellSums.of(mixed))

    cells = mixed.astype(float).reshape(9, dimensions, 32, 2, 32, 2).mean(axis=(3, 5))
    query = np.arange(dimensions) / 4
    for y, x in ((0, 0), (15, 20), (31, 1)):
        window = cells[:, :, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        samples = window.transpose(0, 2, 3, 1).reshape(-1, dimensions)
        covariance = shrunk_covariance(empirical_covariance(samples), shrinkage=0.1)
        expected = distance.mahalanobis(query, samples.mean(axis=0), np.linalg.inv(covariance))
        cell = 32 * y + x
        found = np.linalg.norm((query - fitted.mean[cell]) @ fitted.factor[cell])
        assert found == pytest.approx(expected, rel=1e-3)


def test_memory_looks_up_the_nearest_neighbour() -> None:
    whitened = np.random.default_rng(0).normal(0, 1, (3, 4, GRID, GRID)).astype(np.float32)
    memory = fit_memory(whitened[:2], np.arange(2), 0.5, np.random.default_rng(0))
    graph = GraphBuilder()
    asked = graph.input("whitened", np.float32, (1, 4, GRID, GRID))
    graph.output("map", memory_map(graph, asked, memory), (1, 1, GRID, GRID))

    found = Session(graph.finish(), threads=1)(whitened=whitened[2:])["map"]

    axis = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2) * 0.5 * 2
    query = np.concatenate([whitened[2].reshape(4, -1).T, places], axis=1)
    nearest, _ = NearestNeighbors(n_neighbors=1).fit(memory.patches).kneighbors(query)
    np.testing.assert_allclose(found.ravel(), nearest[:, 0] / np.sqrt(6), rtol=1e-3, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40))
def test_a_coreset_takes_the_farthest_row_each_time(seed: int, size: int) -> None:
    pool = np.random.default_rng(seed).normal(0, 1, (120, 5)).astype(np.float32)
    taken = coreset(pool, size, np.random.default_rng(seed))
    assert len(set(taken)) == len(taken) == size
    apart = pairwise_distances(pool.astype(float))
    for count in range(1, size):
        to_taken = apart[:, taken[:count]].min(axis=1)
        assert to_taken[taken[count]] == pytest.approx(to_taken.max(), rel=1e-3)


def test_a_coreset_of_fewer_rows_than_asked_is_all_of_them() -> None:
    pool = np.random.default_rng(0).normal(0, 1, (7, 3)).astype(np.float32)
    assert sorted(coreset(pool, 50, np.random.default_rng(0))) == list(range(7))


def asked(values: NDArray[np.float32], *, blur: bool) -> NDArray[np.float32]:
    graph = GraphBuilder()
    given_map = graph.input("map", np.float32, (1, 1, GRID, GRID))
    found: Tensor = blur_nodes(graph, given_map) if blur else given_map
    graph.output("found", found, (1, 1, GRID, GRID))
    return np.asarray(Session(graph.finish(), threads=1)(map=values[None, None])["found"][0, 0])


def test_maps_are_blurred_as_scipy_blurs() -> None:
    values = np.random.default_rng(0).gamma(2, 1, (GRID, GRID)).astype(np.float32)
    expected = ndimage.gaussian_filter(values.astype(float), 1.0, radius=3, mode="nearest")
    np.testing.assert_allclose(asked(values, blur=True), expected, rtol=1e-4, atol=1e-5)


def narrowed_at_the_border(field: Floats, sigma: float) -> Floats:
    """A Gaussian filter over what there is: what lies outside neither counts nor weighs."""
    options = {"sigma": sigma, "mode": "constant", "radius": GRID}
    weight = ndimage.gaussian_filter(np.ones_like(field), **options)
    return np.asarray(ndimage.gaussian_filter(field, **options) / weight)


def test_the_usual_scale_is_smoothed_as_scipy_smooths() -> None:
    maps = np.random.default_rng(0).normal(1, 0.5, (9, GRID, GRID)).astype(np.float32)
    maps *= np.linspace(0.2, 3, GRID, dtype=np.float32)
    scale = usual_scale(maps)
    wide, sigma = maps.astype(float), evidence._PLACE_SIGMA_CELLS
    np.testing.assert_allclose(scale.center, narrowed_at_the_border(wide.mean(axis=0), sigma), rtol=1e-6)
    spread = np.sqrt(narrowed_at_the_border(wide.var(axis=0), sigma))
    np.testing.assert_allclose(scale.spread, np.maximum(spread, max(0.5 * np.median(spread), 0.03)), rtol=1e-5)


def test_a_map_is_undone_as_scipy_interpolates() -> None:
    aligned = np.random.default_rng(0).normal(0, 1, (GRID, GRID)).astype(np.float32)
    angle, aspect, x, y = np.deg2rad(37), 1.5, 0.1, -0.2
    forth = np.array([[np.cos(angle), -np.sin(angle) / aspect, x], [np.sin(angle) * aspect, np.cos(angle), y]])
    graph = GraphBuilder()
    given_map = graph.input("map", np.float32, (1, 1, GRID, GRID))
    pose = graph.input("pose", np.float32, (1, 6))
    graph.output("undone", undo_nodes(graph, given_map, pose, GRID), (1, 1, GRID, GRID))

    found = Session(graph.finish(), threads=1)(map=aligned[None, None], pose=forth.reshape(1, 6).astype(np.float32))

    back = np.linalg.inv(np.vstack([forth, [0, 0, 1]]))
    axis = (np.arange(GRID) + 0.5) / GRID * 2 - 1
    down, right = np.meshgrid(axis, axis, indexing="ij")
    there = back @ np.stack([right.ravel(), down.ravel(), np.ones(GRID**2)])
    cells = (there[1::-1] + 1) * GRID / 2 - 0.5
    expected = ndimage.map_coordinates(aligned, cells.clip(0, GRID - 1), order=1).reshape(GRID, GRID)
    np.testing.assert_allclose(found["undone"][0, 0], expected, atol=1e-3)


def test_the_head_is_a_weighted_kernel_ridge_regression() -> None:
    random = np.random.default_rng(0)
    evidence, label = random.normal(0, 2, (40, 7)), np.arange(40) < 12
    evidence[label, 0] += 2
    head = fit_head(evidence, [3, 4], label)

    standard = (evidence - evidence.mean(axis=0)) / (evidence.std(axis=0) * np.sqrt([3] * 3 + [4] * 4))
    kernel = rbf_kernel(
        standard, gamma=1 / np.median(pairwise_distances(standard, squared=True)[~np.eye(40, dtype=bool)])
    )
    balance = np.where(label, 0.5 / 0.3, 0.5 / 0.7)
    target = np.where(label, 1.0, -1.0) - head.bias
    ridge = KernelRidge(kernel="precomputed", alpha=0.1).fit(kernel, target, sample_weight=balance)
    np.testing.assert_allclose(head.weights, ridge.dual_coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(head.scores(evidence), ridge.predict(kernel) + head.bias, rtol=1e-4, atol=1e-5)
    assert head.weights.sum() == pytest.approx(0, abs=1e-9)


def test_what_is_deployed_needs_neither() -> None:
    for path in Path(relook.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"scipy", "sklearn"}, path
