"""Evaluations against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from relook.learning.validation.evaluation import ImageOutcome, evaluate, type_metrics


def outcome(is_anomalous: bool, is_detected: bool) -> ImageOutcome:
    return ImageOutcome("image", is_anomalous, is_detected, 0.5, 0.0)


def test_image_metrics() -> None:
    outcomes = (
        [outcome(True, True)] * 6 + [outcome(True, False)] * 2 + [outcome(False, True)] * 3 + [outcome(False, False)]
    )
    result = evaluate("protocol", outcomes, np.linspace(1, 0, 12), [])
    assert (result.normal_images, result.anomalous_images) == (4, 8)
    assert result.precision == pytest.approx(6 / 9)
    assert result.recall == pytest.approx(6 / 8)
    assert result.f1 == pytest.approx(12 / 17)
    assert result.roc_auc == pytest.approx(1.0)
    assert result.false_alarm_share == pytest.approx(0.75)
    # Twelve probabilities over ten bins: the eight sure anomalies too low by 28/11, the four normals too high by 6/11
    assert result.calibration_error == pytest.approx((28 / 11 + 6 / 11) / 12)


def test_without_anomalies_only_false_alarms_are_known() -> None:
    result = evaluate("protocol", [outcome(False, False)] * 3 + [outcome(False, True)], np.zeros(4), [])
    assert (result.precision, result.recall, result.f1, result.roc_auc, result.average_precision) == (None,) * 5
    assert result.false_alarm_share == pytest.approx(0.25)


def test_type_metrics_take_all_images_together() -> None:
    truth = [np.array([[1, 1, 2, 0]], np.uint8), np.array([[0, 1]], np.uint8)]
    predicted = [np.array([[1, 0, 1, 0]], np.uint8), np.array([[1, 1]], np.uint8)]
    metrics = type_metrics("crack", 1, predicted, truth)
    assert (metrics.precision, metrics.recall, metrics.iou) == pytest.approx((2 / 4, 2 / 3, 2 / 5))
    assert metrics.f1 == pytest.approx(4 / 7)
    assert metrics.images == 2
    assert type_metrics("stain", 2, predicted, truth).iou == 0
