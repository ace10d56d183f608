"""The network that tells types apart, and the cells it learns from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import log_loss

from relook.learning.estimators import pixels
from relook.learning.estimators.pixels import fit_pixel_model, fit_type_thresholds, sample_cells

Layers = Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]]


def predicted(layers: Layers, rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """(n, classes + 1) probabilities, before the mean over neighbours."""
    x = rows.astype(float)
    for depth, (weights, bias) in enumerate(layers):
        x = (np.maximum(x, 0) if depth else x) @ weights + bias
    odds = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def test_gradients_are_those_of_the_cross_entropy() -> None:
    random = np.random.default_rng(0)
    widths = [(5, 7), (7, 4), (4, 3)]
    weights = [random.normal(0, 0.7, width) for width in widths]
    biases = [random.normal(0, 0.3, width[1]) for width in widths]
    rows, labels = random.normal(0, 1, (32, 5)), random.integers(0, 3, 32)

    def loss() -> float:
        return float(log_loss(labels, predicted(list(zip(weights, biases, strict=True)), rows), labels=[0, 1, 2]))

    found = pixels._gradients(rows, labels, weights, biases)  # type: ignore[arg-type]
    for parameter, gradient in zip(weights + biases, found, strict=True):
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
    model = fit_pixel_model(rows[:11_000], labels[:11_000], 1, np.random.default_rng(1))
    again = fit_pixel_model(rows[:11_000], labels[:11_000], 1, np.random.default_rng(1))
    assert (predicted(model.layers, rows[11_000:]).argmax(axis=1) == labels[11_000:]).mean() > 0.85
    for one, other in zip(model.layers, again.layers, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@settings(max_examples=25, deadline=None)
@given(
    corner=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    size=st.tuples(st.integers(1, 28), st.integers(1, 28)),
    share=st.floats(0.05, 1),
)
def test_cells_to_learn_from_are_what_their_labels_say(
    corner: tuple[int, int], size: tuple[int, int], share: float
) -> None:
    coverage = np.zeros((2, 128, 128), np.float32)
    coverage[1, corner[0] : corner[0] + size[0], corner[1] : corner[1] + size[1]] = share

    cells, labels = sample_cells(coverage, np.random.default_rng(0))

    painted = coverage[1].ravel()
    assert len(np.unique(cells)) == len(cells) == len(labels)
    assert set(labels.tolist()) == {0, 2}
    assert (painted[cells[labels == 2]] > 0).all()
    assert (painted[cells[labels == 0]] == 0).all()
    assert 1 <= (labels == 2).sum() <= 250


def test_a_normal_image_gives_background_only() -> None:
    _, labels = sample_cells(np.zeros((3, 128, 128), np.float32), np.random.default_rng(0))
    assert len(labels) == 250
    assert not labels.any()


def test_the_threshold_of_best_overlap_is_found() -> None:
    random = np.random.default_rng(0)
    truth = (random.random((2, 2, 128, 128)) < 0.1).astype(np.float32)
    found = np.where(truth > 0, random.uniform(0.62, 1, truth.shape), random.uniform(0, 0.58, truth.shape))
    assert fit_type_thresholds(found.astype(np.float32), truth) == [0.6, 0.6]
    nowhere = np.zeros_like(truth)
    assert fit_type_thresholds(found.astype(np.float32), nowhere) == [0.5, 0.5]
