"""What turns scores into probabilities, fitted; and the usual value of scores and how far they scatter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relook.detection.package import Calibration, NormalStatistic

_Floats = NDArray[np.floating]
_Labels = NDArray[np.bool_]

THRESHOLD = 0.5
"""p(anomaly) from which an image is anomalous. With a threshold tuned for the best cross-fitted F1, held-out F1 was
.881 where this gives .883 (mean over bracket, board, cookies with and without masks, toys, wafers), and many verdicts
contradicted their confidence.
"""


_QUANTILE, _STEEPNESS = 0.95, 0.5  # measured: docs/engine.md, "Thresholds"
_MOST_SPREADS = 2.5
"""Above the median, so that a few badly framed normals do not lift the threshold: four pieces F1 .59 -> .67."""
_UNSEEN = 5.0  # of twelve normals the oddest that there will be was not among them: .4 spreads more; of sixty .1
_MOST_KEPT = 500  # of more normals, a stream's own size decides what can be told
_KEPT_DIGITS = 3  # streams are read to a tenth of a spread
_FEW = 10.0  # of few normals a median deviation says little: one spread more for ten, a quarter for forty


def median_and_spread(values: _Floats) -> tuple[_Floats, _Floats]:
    """Median and 1.4826 x the median absolute deviation along the first axis: a mean and standard deviation that a few
    odd images cannot move. The spread is at least 1 % of the median, or rounding errors would tell equal images apart.
    """
    center = np.median(values, axis=0)
    return center, np.maximum(1.4826 * np.median(np.abs(values - center), axis=0), 0.01 * np.abs(center) + 1e-3)


def normal_statistic(values: _Floats) -> NormalStatistic:
    """What a package keeps of (n,) values of the normals."""
    center, spread = (float(each) for each in median_and_spread(values))
    ranks = np.linspace(0, len(values) - 1, min(len(values), _MOST_KEPT)).round().astype(int)
    kept = ((np.sort(values) - center) / spread).round(_KEPT_DIGITS)[ranks]
    return NormalStatistic(center, spread, tuple(kept.tolist()))


def fit_from_normals(normal_scores: _Floats) -> Calibration:
    """p = 0.5 where 95 % of the normals stay below, for want of anomalies to learn from; half a spread further it is
    .73, two spreads further .98. Steeper than the normals scatter, for anomalies lie many spreads away.

    A quantile of held-back scores told new normals best of what was tried (docs/engine.md), but a few badly framed
    pictures among the normals must not raise it beyond what the others' spread allows.
    """
    center, spread = median_and_spread(normal_scores)
    allowed = float(center + (_MOST_SPREADS + _FEW / len(normal_scores)) * spread)
    reached = float(np.quantile(normal_scores, _QUANTILE) + _UNSEEN / len(normal_scores) * spread)
    return Calibration(min(reached, allowed), _STEEPNESS * float(spread))


def fit_safety_net(normal_scores: _Floats) -> Calibration:
    """p = 0.5 where a score is too odd for any normal, so that types never labelled are flagged too.

    That is 4 spreads above the median, and a spread above all normals but one, which may be badly framed.
    """
    center, spread = median_and_spread(normal_scores)
    return Calibration(max(float(center + 4 * spread), float(np.sort(normal_scores)[-2] + spread)), float(spread))


def fit_platt(scores: _Floats, is_anomalous: _Labels) -> Calibration:
    """Logistic regression of the label on the score, with Platt's softened targets.

    The rarer label weighs more, so that the odds of anomalies are the root of what they are among the labelled images.
    How many somebody has labelled yet says little of how many will come: as they are, eight anomalies beside a hundred
    normals put the threshold where it missed half of all others (docs/engine.md); even odds raised false alarms.
    Source: Platt 1999, Lin, Lin and Weng 2007; plain Newton steps with a little ridge on the slope.
    """
    positives, negatives = int(is_anomalous.sum()), int((~is_anomalous).sum())
    target = np.where(is_anomalous, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    weight = np.where(is_anomalous, positives**-0.5, negatives**-0.5)
    weight /= weight.mean()
    center, spread = float(scores.mean()), float(scores.std()) + 1e-9
    design = np.stack([(scores - center) / spread, np.ones(len(scores))], axis=1)
    ridge = np.array([0.01, 0.0])
    coefficients = np.zeros(2)
    for _ in range(100):
        p = 1 / (1 + np.exp(-design @ coefficients))
        curvature = (design * (weight * p * (1 - p) + 1e-9)[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curvature, design.T @ (weight * (p - target)) + ridge * coefficients)
        coefficients -= np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-9:
            break
    slope = max(float(coefficients[0]), 0.05)  # a head that learnt nothing must not turn the answer round
    return Calibration(center - float(coefficients[1]) / slope * spread, spread / slope)
