"""Metrics against scikit-learn and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, f1_score, jaccard_score, roc_auc_score

from relook.learning.validation.metrics import average_precision, expected_calibration_error, roc_auc, type_overlap

LABEL = np.array([False, False, True, True])
Floats = NDArray[np.float64]

labelled_scores = (
    st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=2, max_size=60)
    .filter(lambda pairs: len({label for _, label in pairs}) == 2)
    .map(lambda pairs: (np.array([score / 20 for score, _ in pairs]), np.array([label for _, label in pairs])))
)


def test_roc_auc_counts_pairs_and_halves_ties() -> None:
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), LABEL) == pytest.approx(0.75)
    assert roc_auc(np.array([0.1, 0.5, 0.5, 0.8]), LABEL) == pytest.approx(0.875)
    assert roc_auc(np.ones(4), LABEL) == pytest.approx(0.5)


def test_average_precision() -> None:
    assert average_precision(np.array([0.1, 0.4, 0.35, 0.8]), LABEL) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones(4), LABEL) == pytest.approx(0.5)


@given(labelled_scores)
def test_rankings(scores_and_label: tuple[Floats, NDArray[np.bool_]]) -> None:
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


@given(st.integers(0, 1000))
def test_overlaps(seed: int) -> None:
    truth, actual = np.random.default_rng(seed).integers(0, 3, (2, 6, 8), np.uint8)
    metrics = type_overlap(1, [actual], [truth])
    flat = truth.ravel() == 1, actual.ravel() == 1
    assert metrics.f1 == pytest.approx(f1_score(*flat, zero_division=0))
    assert metrics.iou == pytest.approx(jaccard_score(*flat, zero_division=0))
