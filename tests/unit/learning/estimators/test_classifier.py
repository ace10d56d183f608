"""The kernel machine against scikit-learn and a plain solver, as arrays and as a graph."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import rbf_kernel

from relook.learning.estimators import classifier as module
from relook.learning.estimators.classifier import fit_classifier, squared_distances
from tests.unit.learning.graph.running import run


def test_it_is_a_weighted_kernel_ridge_regression() -> None:
    random = np.random.default_rng(0)
    evidence, label = random.normal(0, 2, (40, 7)), np.arange(40) < 12
    evidence[label, 0] += 2
    fitted = fit_classifier(evidence, [3, 4], label)

    standard = (evidence - evidence.mean(axis=0)) / (evidence.std(axis=0) * np.sqrt([3] * 3 + [4] * 4))
    apart = pairwise_distances(standard, squared=True)[~np.eye(40, dtype=bool)]
    kernel = rbf_kernel(standard, gamma=1 / np.median(apart))
    balance = np.where(label, 0.5 / 0.3, 0.5 / 0.7)
    target = np.where(label, 1.0, -1.0) - fitted.bias
    ridge = KernelRidge(kernel="precomputed", alpha=module._RIDGE).fit(kernel, target, sample_weight=balance)
    np.testing.assert_allclose(fitted.weights, ridge.dual_coef_, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(fitted(evidence), ridge.predict(kernel) + fitted.bias, rtol=1e-4, atol=1e-5)
    assert fitted.weights.sum() == pytest.approx(0, abs=1e-9)
    narrow = evidence.astype(np.float32)
    np.testing.assert_allclose(run(fitted, narrow), fitted(narrow), rtol=1e-4, atol=1e-4)


def test_it_separates_what_a_line_cannot() -> None:
    points = np.random.default_rng(0).normal(0, 1, (300, 2))
    label = np.hypot(*points.T) > 1.2
    fitted = fit_classifier(points[:200], [2], label[:200])
    assert ((fitted(points[200:]) > 0) == label[200:]).mean() > 0.9


def test_a_group_weighs_the_same_however_many_numbers_it_has() -> None:
    random = np.random.default_rng(0)
    one, label = random.normal(0, 1, (30, 1)), np.arange(30) < 10
    repeated = np.repeat(random.normal(0, 1, (30, 1)), 50, axis=1)
    wide = fit_classifier(np.concatenate([one, repeated], axis=1), [1, 50], label)
    narrow = fit_classifier(np.concatenate([one, repeated[:, :1]], axis=1), [1, 1], label)
    np.testing.assert_allclose(
        wide(np.concatenate([one, repeated], axis=1)), narrow(np.concatenate([one, repeated[:, :1]], axis=1)), rtol=1e-6
    )


def test_equal_evidence_is_scored_alike() -> None:
    fitted = fit_classifier(np.ones((6, 3)), [3], np.arange(6) < 2)
    assert np.isfinite(fitted(np.ones((2, 3)))).all()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_distances_are_scikit_learns(seed: int) -> None:
    rows, others = (np.random.default_rng([seed, i]).normal(0, 3, (i, 6)) for i in (4, 9))
    expected = pairwise_distances(rows, others) ** 2
    np.testing.assert_allclose(squared_distances(rows, others), expected, rtol=1e-6, atol=1e-8)
    assert squared_distances(rows, rows).min() >= 0
