"""Scores to probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from relook.detection.package import Calibration

_Floats = NDArray[np.floating]


def probability(scores: Sequence[float] | _Floats, calibration: Sequence[Calibration]) -> float:
    """p(anomaly) of one image."""
    return 1 / (1 + math.exp(-min(max(log_odds(scores, calibration), -60.0), 60.0)))


def log_odds(scores: Sequence[float] | _Floats, calibration: Sequence[Calibration]) -> float:
    """Of being anomalous: the most alarmed of an image's calibrated scores decides."""
    return max((float(s) - c.center) / c.scale for s, c in zip(scores, calibration, strict=True))
