"""Metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from relook.learning.validation.metrics import average_precision, roc_auc

LABEL = np.array([False, False, True, True])


def test_roc_auc_counts_pairs_and_halves_ties() -> None:
    assert roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), LABEL) == pytest.approx(0.75)
    assert roc_auc(np.array([0.1, 0.5, 0.5, 0.8]), LABEL) == pytest.approx(0.875)
    assert roc_auc(np.ones(4), LABEL) == pytest.approx(0.5)


def test_average_precision() -> None:
    assert average_precision(np.array([0.1, 0.4, 0.35, 0.8]), LABEL) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.ones(4), LABEL) == pytest.approx(0.5)
