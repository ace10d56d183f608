"""Scores to probabilities, and probabilities to confidence. Standard library only: what reads no image needs it too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from relook.detection.package import Calibration

    _Floats = NDArray[np.floating]

_LEAST = 1e-6
"""As near to 0 and 1 as probabilities are told apart: answers give less than a millionth as 0."""


def probability(scores: Sequence[float] | _Floats, calibration: Sequence[Calibration]) -> float:
    """p(anomaly) of one image."""
    return sigmoid(log_odds(scores, calibration))


def log_odds(scores: Sequence[float] | _Floats, calibration: Sequence[Calibration]) -> float:
    """Of being anomalous: the most alarmed of an image's calibrated scores decides."""
    return max((float(s) - c.center) / c.scale for s, c in zip(scores, calibration, strict=True))


def sigmoid(log_odds: float) -> float:
    """The probability, between 0 and 1, of log-odds of any size."""
    return 1 / (1 + math.exp(-min(max(log_odds, -60.0), 60.0)))


def logit(probability: float) -> float:
    """The log-odds of a probability 0..1, at most 13.8 either way."""
    p = min(max(probability, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))


def confidence(anomaly_probability: float, threshold: float) -> float:
    """Probability of the verdict, .5..1, after a shift in log-odds that puts the threshold at .5; 0..1 both.

    So a client that takes .5 for the threshold follows wherever it was moved, and no verdict is reported with less. The
    verdict itself is `anomaly_probability >= threshold`. At a threshold of .5 nothing changes, to the bit.
    """
    # The odds p / (1 - p) over the threshold's, multiplied out: nothing is divided by what may be 0.
    anomalous, normal = anomaly_probability * (1 - threshold), (1 - anomaly_probability) * threshold
    if anomalous == normal:  # also 0 and 0: both probabilities are 0, or both 1
        return 0.5
    reported = anomalous if anomaly_probability >= threshold else normal
    return max(reported / (anomalous + normal), 0.5)
