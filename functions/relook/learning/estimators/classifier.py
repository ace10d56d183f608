"""The supervised head: learns from labelled anomalies what the one-class score cannot know.

A balanced least-squares kernel machine (Suykens and Vandewalle 1999) with a Gaussian kernel on the evidence of an
image. Every group of evidence weighs the same however many numbers it has.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relook.learning.graph.xp import ArrayT, xp

_RIDGE = 0.1  # beside 1, an image's likeness to itself: a wrong label is not learnt by heart

_Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Classifier:
    """A fitted kernel machine.

    Attributes:
        center, scale: (k,) standardisation of the evidence; a group of m columns has its scale enlarged by sqrt(m).
        support: (n, k) standardised training evidence.
        gamma: kernel exp(-gamma * squared distance).
        weights: (n,).
        bias: the score of evidence unlike any seen.
    """

    center: _Floats
    scale: _Floats
    support: _Floats
    gamma: float
    weights: _Floats
    bias: float

    def __call__(self, evidence: ArrayT) -> ArrayT:
        """(n,) scores of (n, k) evidence, about 1 for anomalous and -1 for normal."""
        distances = squared_distances((evidence - self.center) / self.scale, self.support)
        return xp.exp(-self.gamma * distances) @ self.weights + self.bias


def fit_classifier(
    evidence: NDArray[np.floating], groups: Sequence[int], is_anomalous: NDArray[np.bool_]
) -> Classifier:
    """Fit on (n, k) evidence whose columns come in consecutive `groups`, of which both labels must be present."""
    center = evidence.mean(axis=0, dtype=np.float64)
    scale = (evidence.std(axis=0, dtype=np.float64) + 1e-6) * np.repeat(np.sqrt(groups), groups)
    support = (evidence - center) / scale
    distances = squared_distances(support, support)
    apart = distances[distances > 1e-12]
    gamma = 1 / float(np.median(apart)) if len(apart) else 1.0
    count = len(support)
    balance = np.where(is_anomalous, 0.5 / is_anomalous.mean(), 0.5 / (1 - is_anomalous.mean()))
    system = np.ones((count + 1, count + 1))
    system[:count, :count] = np.exp(-gamma * distances) + np.diag(_RIDGE / balance)
    system[count, count] = 0
    solution = np.linalg.solve(system, np.append(np.where(is_anomalous, 1.0, -1.0), 0.0))
    return Classifier(center, scale, support, gamma, solution[:count], float(solution[count]))


def squared_distances(rows: ArrayT, others: _Floats) -> ArrayT:
    """(n, m) between (n, k) rows and (m, k) others."""
    lengths = xp.sum(xp.square(rows), 1, keepdims=True) + (others**2).sum(axis=1)
    squares: ArrayT = lengths - 2.0 * (rows @ others.T)
    return xp.maximum(squares, 0.0)
