"""Shares with what their counts allow to say, and which of many are out of the ordinary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

from relook.errors import InvalidRequestError

_Z = NormalDist().inv_cdf(0.975)  # intervals hold the true share 95 times in 100
_SIGMAS = 3  # Shewhart's limits


@dataclass(frozen=True)
class Rate:
    """`hits` of `total`.

    Attributes:
        share: 0..1; None of nothing.
        low, high: 0..1, Wilson's 95 % interval of the share; 0 and 1 of nothing.
    """

    hits: int
    total: int
    share: float | None
    low: float
    high: float

    @classmethod
    def of(cls, hits: int, total: int) -> Self:
        """
        Raises:
            InvalidRequestError: not 0 <= hits <= total.
        Source: Wilson 1927, the score interval; good for few images and for shares near 0 and 1.
        """
        if not 0 <= hits <= total:
            raise InvalidRequestError(f"{hits} of {total} is no rate; hits lie between 0 and the total")
        if total == 0:
            return cls(0, 0, None, 0.0, 1.0)
        share, doubt = hits / total, _Z**2 / total
        middle = share + doubt / 2
        reach = _Z * math.sqrt((share * (1 - share) + doubt / 4) / total)
        low = 0.0 if hits == 0 else (middle - reach) / (1 + doubt)
        high = 1.0 if hits == total else (middle + reach) / (1 + doubt)
        return cls(hits, total, share, low, high)


@dataclass(frozen=True)
class Confusion:
    """Images by what they are and what was said of them; an anomaly is the positive class."""

    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int

    @property
    def recall(self) -> Rate:
        """Anomalous images that were found."""
        return Rate.of(self.true_positives, self.true_positives + self.false_negatives)

    @property
    def false_alarm_rate(self) -> Rate:
        """Normal images that were called anomalous."""
        return Rate.of(self.false_positives, self.false_positives + self.true_negatives)

    @property
    def precision(self) -> Rate:
        """Images called anomalous that are."""
        return Rate.of(self.true_positives, self.true_positives + self.false_positives)

    @property
    def f1(self) -> float | None:
        """0..1; None where nothing is anomalous and nothing was called so."""
        touched = 2 * self.true_positives + self.false_positives + self.false_negatives
        return 2 * self.true_positives / touched if touched else None


@dataclass(frozen=True)
class ControlPoint:
    """One subgroup of a p-chart.

    Attributes:
        lower, upper: 0..1, the control limits for a subgroup of this size; None of an empty one.
        is_out_of_control: whether the share lies beyond a limit.
    """

    name: str
    rate: Rate
    lower: float | None
    upper: float | None
    is_out_of_control: bool


@dataclass(frozen=True)
class ControlChart:
    """A p-chart.

    Attributes:
        center: 0..1, the share of all subgroups together; None of nothing.
        points: in the order given.
    """

    center: float | None
    points: tuple[ControlPoint, ...]


def control_chart(rates: Mapping[str, Rate]) -> ControlChart:
    """The p-chart of subgroups of any sizes, such as days: limits three standard deviations from the centre line.

    Source: Shewhart; Montgomery, Introduction to Statistical Quality Control, control charts for fraction nonconforming
    with variable sample size. Limits are clipped to 0..1.
    """
    total = sum(rate.total for rate in rates.values())
    if total == 0:
        return ControlChart(None, tuple(ControlPoint(name, rate, None, None, False) for name, rate in rates.items()))
    center = sum(rate.hits for rate in rates.values()) / total
    return ControlChart(center, tuple(_control_point(name, rate, center) for name, rate in rates.items()))


def _control_point(name: str, rate: Rate, center: float) -> ControlPoint:
    if rate.share is None:
        return ControlPoint(name, rate, None, None, False)
    reach = _SIGMAS * math.sqrt(center * (1 - center) / rate.total)
    lower, upper = max(center - reach, 0.0), min(center + reach, 1.0)
    return ControlPoint(name, rate, lower, upper, not lower <= rate.share <= upper)


def percent(share: float) -> str:
    """A share of 0..1 as people read it, without making a small one look like nothing."""
    return f"{share:.2%}" if share >= 0.001 else f"{share * 100:.1g}%"
