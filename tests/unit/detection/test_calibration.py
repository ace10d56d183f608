"""Scores to probabilities, and probabilities to confidence."""

from __future__ import annotations

import math

import pytest

from relook.detection.calibration import confidence, logit, probability, sigmoid
from relook.detection.package import Calibration


def test_probability_is_the_documented_formula() -> None:
    calibration = [Calibration(3.0, 2.0), Calibration(-1.0, 0.5)]
    assert probability([4.0, -1.5], calibration) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert probability([0.0, 0.0], calibration) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert 0 < probability([-1e30, -1e30], calibration) < 1e-20
    assert probability([1e30, 0.0], calibration) == pytest.approx(1.0)


@pytest.mark.parametrize("p", [0.0, 1e-300, 1e-6, 0.3, 0.4999999, 0.5, 0.7, 1 - 1e-16, 1.0])
def test_at_a_threshold_of_a_half_confidence_is_the_verdicts_probability(p: float) -> None:
    assert confidence(p, 0.5) == (p if p >= 0.5 else 1 - p)


def test_confidence_is_shifted_in_log_odds() -> None:
    # Odds of 4 against the threshold's 1/4 are odds of 16; odds of 1/9 are 4/9.
    assert confidence(0.8, 0.2) == pytest.approx(16 / 17)
    assert confidence(0.1, 0.2) == pytest.approx(9 / 13)
    assert confidence(0.3, 0.9) == pytest.approx(sigmoid(-(logit(0.3) - logit(0.9))))


@pytest.mark.parametrize("threshold", [0.0, 5e-324, 1e-9, 0.01, 0.3, 0.5, 0.97, 1 - 1e-16, 1.0])
def test_confidence_is_at_least_a_half_and_grows_away_from_the_threshold(threshold: float) -> None:
    probabilities = sorted({0.0, 5e-324, 1e-12, *(i / 100 for i in range(101)), 1 - 1e-16, 1.0, threshold})
    confidences = [confidence(p, threshold) for p in probabilities]
    assert confidence(threshold, threshold) == 0.5
    assert all(0.5 <= each <= 1 for each in confidences)
    shifted = [c if p >= threshold else 1 - c for p, c in zip(probabilities, confidences, strict=True)]
    assert shifted == sorted(shifted)


def test_a_threshold_at_an_end_leaves_no_doubt() -> None:
    assert confidence(0.01, 0.0) == 1.0
    assert confidence(0.99, 1.0) == 1.0


def test_logit_is_the_inverse_of_sigmoid_and_finite() -> None:
    for value in (-13.0, -1.5, 0.0, 2.0, 13.0):
        assert logit(sigmoid(value)) == pytest.approx(value)
    assert [logit(0.0), logit(1.0)] == pytest.approx([-math.log(1e6), math.log(1e6)], rel=1e-6)
    assert [sigmoid(1e300), sigmoid(-1e300)] == pytest.approx([1.0, 0.0])
