"""What is fitted to turn scores into probabilities."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression

from relook.detection.calibration import probability
from relook.learning.estimators.calibration import fit_from_normals, fit_platt, fit_safety_net, median_and_spread


def test_spread_is_that_of_a_normal_distribution_and_never_zero() -> None:
    center, spread = median_and_spread(np.random.default_rng(0).normal(5, 3, 20_000))
    assert float(center) == pytest.approx(5, abs=0.1)
    assert float(spread) == pytest.approx(3, rel=0.05)
    assert median_and_spread(np.ones(10))[1] > 0


def test_one_odd_normal_image_does_not_move_the_threshold() -> None:
    scores = np.random.default_rng(0).normal(0, 1, 30)
    usual = fit_from_normals(scores)
    spoiled = fit_from_normals(np.append(scores, 1000.0))
    assert 0.8 < usual.center < 3, "above most of them, below what is rare"
    assert spoiled.center == pytest.approx(usual.center, abs=0.3)


def test_platt_finds_the_slope_that_made_the_labels() -> None:
    random = np.random.default_rng(0)
    scores = random.normal(0, 2, 20_000)
    label = random.random(20_000) < 1 / (1 + np.exp(-(scores - 0.1) / 0.4))
    fitted = fit_platt(scores, label)
    assert fitted.center == pytest.approx(0.1, abs=0.05)
    assert fitted.scale == pytest.approx(0.4, rel=0.1)


def test_platt_stays_finite_and_upright() -> None:
    apart = fit_platt(np.array([-1.0, -1.1, -0.9, 1.0, 1.1]), np.array([False] * 3 + [True] * 2))
    assert 0.5 < probability([1.0], [apart]) < 0.99
    assert probability([-1.0], [apart]) < 0.5
    reversed_ = fit_platt(np.array([1.0, 1.1, 0.9, -1.0, -1.1]), np.array([False] * 3 + [True] * 2))
    assert reversed_.scale > 0
    constant = fit_platt(np.zeros(5), np.array([False] * 3 + [True] * 2))
    assert math.isfinite(constant.center)
    assert constant.scale > 0


def test_platt_finds_the_threshold_when_few_anomalies_are_labelled_yet() -> None:
    random = np.random.default_rng(0)
    normal, anomalous = random.normal(0, 1, 400), random.normal(3, 1, 400)
    missed = []
    for labelled in (400, 8):
        scores, label = np.concatenate([normal, anomalous[:labelled]]), np.arange(400 + labelled) >= 400
        missed.append(float((anomalous < fit_platt(scores, label).center).mean()))
    assert missed[0] < 0.08
    assert missed[1] < 0.35, "of those still to come; by the odds of the labelled it is more than half"


def test_safety_net_is_undecided_at_four_spreads() -> None:
    scores = np.random.default_rng(0).normal(0, 1, 500)
    center, spread = median_and_spread(scores)
    net = fit_safety_net(scores)
    assert probability([float(center + 4 * spread)], [net]) == pytest.approx(0.5)
    assert probability([float(scores.max())], [net]) < 0.5


def test_safety_net_spares_normals_that_scatter() -> None:
    scores = np.concatenate([np.random.default_rng(0).normal(0, 1, 80), np.linspace(5, 30, 20)])
    flagged = [probability([s], [fit_safety_net(scores)]) >= 0.5 for s in scores]
    assert sum(flagged) <= 5


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

    weight = np.where(label, 40**0.5, 20**0.5) / np.where(label, 40**0.5, 20**0.5).mean()
    target = np.where(label, 21 / 22, 1 / 42)
    standard = ((scores - scores.mean()) / scores.std())[:, None]
    both = LogisticRegression(C=100, tol=1e-10, max_iter=1000).fit(
        np.concatenate([standard, standard]),
        np.repeat([1, 0], 60),
        np.tile(weight, 2) * np.concatenate([target, 1 - target]),
    )
    log_odds = both.decision_function(standard)
    np.testing.assert_allclose((scores - fitted.center) / fitted.scale, log_odds, rtol=1e-4, atol=1e-5)
