"""Scores to probabilities."""

from __future__ import annotations

import math

import pytest

from relook.detection.calibration import probability
from relook.detection.package import Calibration


def test_probability_is_the_documented_formula() -> None:
    calibration = [Calibration(3.0, 2.0), Calibration(-1.0, 0.5)]
    assert probability([4.0, -1.5], calibration) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert probability([0.0, 0.0], calibration) == pytest.approx(1 / (1 + math.exp(-2.0)))
    assert 0 < probability([-1e30, -1e30], calibration) < 1e-20
    assert probability([1e30, 0.0], calibration) == pytest.approx(1.0)
