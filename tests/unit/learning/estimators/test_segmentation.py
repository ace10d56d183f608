"""The network that tells types apart: the cells it learns from, what it learns, and what its graph gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from sklearn.metrics import log_loss

from relook.detection.session import Session
from relook.learning.backbone.efficientnet_lite import pretrained
from relook.learning.estimators.segmentation import (
    SegmentationHead,
    fit_segmentation,
    fit_type_thresholds,
    gather,
    gradients_of,
    peaks,
    sample_cells,
)
from relook.learning.graph.builder import Graph
from tests.unit.learning.graph.running import run

Layers = list[tuple[NDArray[np.floating], NDArray[np.floating]]]


def predicted(layers: Layers, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, classes + 1) probabilities of gathered features."""
    x = rows.astype(float)
    for depth, (weights, bias) in enumerate(layers):
        x = (np.maximum(x, 0) if depth else x) @ weights + bias
    odds = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def random_maps(random: np.random.Generator, height: int, width: int) -> list[NDArray[np.float32]]:
    """Of a backbone with strides 2, 4 and 8, sizes rounded up."""
    return [
        random.normal(0, 1, (channels, -(-height // stride), -(-width // stride))).astype(np.float32)
        for channels, stride in ((3, 2), (4, 4), (5, 8))
    ]


@pytest.mark.parametrize(("height", "width"), [(32, 64), (44, 30)])
def test_the_graph_gives_what_the_network_gives_on_gathered_features(height: int, width: int) -> None:
    random = np.random.default_rng(0)
    maps = random_maps(random, height, width)
    widths = ((17, 6), (6, 5), (5, 3))
    layers = [
        (random.normal(0, 0.5, w).astype(np.float32), random.normal(0, 1, w[1]).astype(np.float32)) for w in widths
    ]

    actual = run(lambda *x: SegmentationHead(tuple(layers))(x), *(each[None] for each in maps))

    rows = gather(maps, np.arange(maps[0][0].size))
    expected = predicted(layers, rows).T.reshape(actual.shape)
    np.testing.assert_allclose(actual, expected, atol=1e-4)


def test_gathered_features_are_each_map_in_turn_and_the_coarsest_averaged() -> None:
    maps = random_maps(np.random.default_rng(1), 64, 64)
    rows = gather(maps, np.array([0, 33, 500]))
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[:, :3], maps[0].reshape(3, -1)[:, [0, 33, 500]].T)
    np.testing.assert_allclose(rows[0, 3:7], maps[1][:, 0, 0], rtol=1e-5)
    # Far from the edges a plain mean over 5 x 5 cells; place (15, 20) lies between four of them
    inner = uniform_filter1d(uniform_filter1d(maps[2], 5, axis=1), 5, axis=2)
    averaged = gather([each * 0 + 7 for each in maps], np.array([15 * 32 + 20]))
    np.testing.assert_allclose(averaged, 7, rtol=1e-5)
    between = gather(maps, np.array([15 * 32 + 20]))[0, 12:]
    assert (between >= inner[:, 3:5, 4:6].min(axis=(1, 2)) - 1e-5).all()
    assert (between <= inner[:, 3:5, 4:6].max(axis=(1, 2)) + 1e-5).all()


def test_gradients_are_those_of_the_weighted_cross_entropy() -> None:
    random = np.random.default_rng(0)
    widths = [(5, 7), (7, 4), (4, 3)]
    weights = [random.normal(0, 0.7, width) for width in widths]
    biases = [random.normal(0, 0.3, width[1]) for width in widths]
    rows, labels = random.normal(0, 1, (32, 5)), random.integers(0, 3, 32)
    weight = np.array([0.5, 1.0, 2.0])

    def loss() -> float:
        rates = predicted(list(zip(weights, biases, strict=True)), rows)
        total = log_loss(labels, rates, labels=[0, 1, 2], sample_weight=weight[labels], normalize=False)
        return float(total) / len(rows)

    actual = gradients_of(rows, labels, weights, biases, weight)  # type: ignore[arg-type]
    for parameter, gradient in zip(weights + biases, actual, strict=True):
        for place in np.ndindex(parameter.shape):
            before = parameter[place]
            parameter[place] = before + 1e-5
            above = loss()
            parameter[place] = before - 1e-5
            below = loss()
            parameter[place] = before
            assert gradient[place] == pytest.approx((above - below) / 2e-5, rel=1e-3, abs=1e-6)


def test_it_learns_what_a_line_cannot_tell_and_is_the_same_every_time() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(5, 2, (12_000, 4)).astype(np.float32)
    labels = ((rows[:, 0] > 5) ^ (rows[:, 1] > 5)).astype(np.intp)
    head, again = (fit_segmentation(rows[:11_000], labels[:11_000], 1, np.random.default_rng(1)) for _ in range(2))
    assert (predicted(list(head.layers), rows[11_000:]).argmax(axis=1) == labels[11_000:]).mean() > 0.9
    for one, other in zip(head.layers, again.layers, strict=True):
        assert all(np.array_equal(a, b) and a.dtype == np.float32 for a, b in zip(one, other, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    corner=st.tuples(st.integers(0, 90), st.integers(0, 120)),
    size=st.tuples(st.integers(1, 22), st.integers(1, 24)),
    share=st.floats(0.05, 1),
)
def test_cells_to_learn_from_are_what_their_labels_say(
    corner: tuple[int, int], size: tuple[int, int], share: float
) -> None:
    coverage = np.zeros((2, 112, 144), np.float32)
    coverage[1, corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = share

    cells, labels = sample_cells(coverage, np.random.default_rng(0))

    painted = coverage[1].ravel()
    assert len(np.unique(cells)) == len(cells) == len(labels)
    assert set(labels.tolist()) == {0, 2}
    assert (painted[cells[labels == 2]] > 0).all()
    assert (painted[cells[labels == 0]] == 0).all()
    assert 1 <= (labels == 2).sum() <= 250


def test_a_normal_image_gives_background_only_and_one_of_many_fewer_cells() -> None:
    nothing = np.zeros((3, 112, 144), np.float32)
    _, labels = sample_cells(nothing, np.random.default_rng(0))
    assert len(labels) == 500
    assert not labels.any()
    assert len(sample_cells(nothing, np.random.default_rng(0), images=1000)[0]) == 50


def test_a_line_far_thinner_than_a_cell_is_learnt_where_it_covers_most() -> None:
    coverage = np.zeros((1, 112, 144), np.float32)
    coverage[0, 50, 20:100] = np.linspace(0.02, 0.1, 80)
    cells, labels = sample_cells(coverage, np.random.default_rng(0))
    chosen = cells[labels == 1]
    assert 40 <= len(chosen) <= 60
    assert (chosen // 144 == 50).all()


def test_the_threshold_of_best_overlap_is_found() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((2, 2, 64, 96)) < 0.1).astype(np.float32)
    probabilities = np.where(truth > 0, random.uniform(0.7, 1, truth.shape), random.uniform(0, 0.6, truth.shape))
    for threshold in fit_type_thresholds(probabilities.astype(np.float32), truth):
        assert 0.6 <= threshold <= 0.7
    assert fit_type_thresholds(probabilities.astype(np.float32), np.zeros_like(truth)) == [0.5, 0.5]


def test_peaks_are_alike_in_arrays_and_graphs_and_grow_with_strength_and_area() -> None:
    types = np.full((1, 4, 40, 50), 1e-3, np.float32)
    types[0, 2, 10:12, 10:12] = 0.9
    types[0, 3, 10:30, 10:30] = 0.9
    probabilities = peaks(types)
    assert probabilities.shape == (1, 3)
    np.testing.assert_allclose(run(peaks, types), probabilities, rtol=1e-4)
    weakest, small, large = probabilities[0]
    assert weakest < -6 < small < large
    share = 0.9 * (4 / 2000) ** 0.25
    assert small == pytest.approx(np.log(share / (1 - share)), abs=1e-3)


def test_an_outline_lies_where_the_edge_is() -> None:
    """Patches of sharp edges, on a canvas of 256: the edge that is predicted of a new one is within one pixel."""
    backbone, side = pretrained((2, 4, 8, 16)), 256
    random = np.random.default_rng(0)

    def picture(top: int, left: int, height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        image = random.normal(120, 4, (1, 3, side, side)).astype(np.float32)
        image[..., top : top + height, left : left + width] -= 60
        mask = np.zeros((1, side, side), np.float32)
        mask[:, top : top + height, left : left + width] = 1
        return image, mask.reshape(1, side // 2, 2, side // 2, 2).mean(axis=(2, 4))

    graph = Graph()
    for number, each in enumerate(backbone.maps(graph.input("image", np.float32, (1, 3, side, side)))):
        graph.output(str(number), each)
    extractor = Session(graph.finish(), threads=1)
    rows, labels = [], []
    for _ in range(12):
        image, coverage = picture(*random.integers(20, 120, 2), *random.integers(30, 90, 2))
        cells, numbers = sample_cells(coverage, random)
        rows.append(gather([each[0] for each in extractor(image=image).values()], cells))
        labels.append(numbers)
    head = fit_segmentation(np.concatenate(rows), np.concatenate(labels), 1, random)

    image, _ = picture(71, 92, 80, 75)
    maps = list(extractor(image=image).values())
    probability = run(lambda *x: head(x), *maps)[0, 1]

    def outer_edges(line: NDArray[np.float32]) -> tuple[float, float]:
        """In pixels of the canvas, where the probability passes a half between centres of cells."""
        (inside,) = np.flatnonzero(line > 0.5)[[0, -1]][None]
        first, last = inside
        before = first - (line[first] - 0.5) / (line[first] - line[first - 1])
        after = last + (line[last] - 0.5) / (line[last] - line[last + 1])
        return 2 * before + 1, 2 * after + 1

    for line, edges in ((probability[:, 64], (71, 151)), (probability[55], (92, 167))):
        np.testing.assert_allclose(outer_edges(line), edges, atol=1.0)
