"""The rule, and verdicts that no image has a hand in when they are about itself."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from relook.detection.calibration import probability
from relook.learning.estimators.calibration import THRESHOLD
from relook.learning.estimators.verdicts import (
    calibrate_with_head,
    decide,
    verdicts_from_normals,
    verdicts_with_head,
)
from relook.learning.validation.metrics import roc_auc

FOLDS = np.arange(80) % 8
LABEL = np.random.default_rng(7).permutation(np.arange(80) < 30)


def evidence(shift: float) -> NDArray[np.float64]:
    """(80, 30) in two groups; anomalies differ by `shift` in a few columns."""
    columns = np.random.default_rng(1).normal(0, 1, (80, 30))
    columns[LABEL, :6] += shift
    return columns


def test_a_head_cannot_learn_labels_by_heart() -> None:
    verdicts = verdicts_with_head(np.zeros(80), evidence(0), [12, 18], LABEL, FOLDS)
    assert verdicts.head_scores is not None
    assert 0.3 < roc_auc(verdicts.head_scores, LABEL) < 0.65
    assert 0.25 < (verdicts.is_detected == LABEL).mean() < 0.7


def test_a_head_learns_what_is_there() -> None:
    verdicts = verdicts_with_head(np.zeros(80), evidence(2.5), [12, 18], LABEL, FOLDS)
    assert roc_auc(verdicts.probabilities, LABEL) > 0.95
    assert (verdicts.is_detected == LABEL).mean() > 0.9


def test_calibration_does_not_see_the_held_back_fold() -> None:
    """Turning the labels of one fold round changes nothing about its own probabilities."""
    turned = np.where(FOLDS == 3, ~LABEL, LABEL)
    one_class = np.random.default_rng(2).normal(0, 1, 80)
    before, after = (verdicts_with_head(one_class, evidence(1), [12, 18], label, FOLDS) for label in (LABEL, turned))
    np.testing.assert_allclose(before.probabilities[FOLDS == 3], after.probabilities[FOLDS == 3])
    assert not np.allclose(before.probabilities[FOLDS == 4], after.probabilities[FOLDS == 4])


def test_from_normals_the_held_back_fold_does_not_move_its_threshold() -> None:
    one_class = np.random.default_rng(2).normal(0, 1, 80)
    odd = np.where(FOLDS == 3, one_class + 50, one_class)
    nothing = np.zeros(80, bool)
    assert verdicts_from_normals(odd, nothing, FOLDS).is_detected[FOLDS == 3].all()
    assert verdicts_from_normals(one_class, nothing, FOLDS).is_detected.mean() < 0.15


@pytest.mark.parametrize(
    ("one_class", "head", "is_anomalous"), [(0.0, -1.0, False), (0.0, 1.0, True), (40.0, -1.0, True)]
)
def test_the_one_class_score_overrules_a_head_that_sees_nothing(
    one_class: float, head: float, is_anomalous: bool
) -> None:
    random = np.random.default_rng(0)
    calibration = calibrate_with_head(
        random.normal(0, 1, 80), np.where(LABEL, 0.8, -0.8) + random.normal(0, 0.4, 80), LABEL
    )
    assert (probability([one_class, head], calibration) >= THRESHOLD) == is_anomalous


@pytest.mark.parametrize("is_told_by_normals", [False, True])
def test_a_classifier_decides_only_where_it_errs_less(is_told_by_normals: bool) -> None:
    one_class = np.random.default_rng(2).normal(0, 1, 80) + 20.0 * LABEL * is_told_by_normals
    columns = evidence(0 if is_told_by_normals else 2.5).astype(np.float32)
    decision = decide(LABEL, FOLDS, one_class, columns, [12, 18])
    assert (decision.classifier is None) == is_told_by_normals
    assert len(decision.calibration) == (1 if is_told_by_normals else 2)
    assert decision.verdicts.error(LABEL) < 0.1
