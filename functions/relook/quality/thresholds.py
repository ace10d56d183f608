"""What a threshold would have done on a model's evaluation, and which threshold does what is asked.

An image is anomalous when its anomaly probability is at least the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from relook.detection.calibration import logit, sigmoid
from relook.errors import InvalidRequestError
from relook.quality.rates import Confusion

MIN_NORMAL_IMAGES = 10
"""As many as a training needs; of fewer nothing can be said about one in a hundred."""
_TAIL = 10  # the oddest images, a third of them at most: fewer tell too little of the spread, more are no tail
_CLEAR = 0.001  # log-odds above a normal image, so that rounding does not make one like it anomalous
_BORDERLINE_SHARE = 0.05  # of images, one in twenty: what a person can look at again beside other work


@dataclass(frozen=True)
class Outcome:
    """What a model that never saw an image says of it.

    Attributes:
        is_anomalous: the label.
        anomaly_probability: 0..1.
    """

    name: str
    is_anomalous: bool
    anomaly_probability: float


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold, 0..1, does: counts, and the rates they give (`confusion.recall`, `.false_alarm_rate`)."""

    threshold: float
    confusion: Confusion


@dataclass(frozen=True)
class ThresholdChange:
    """What moving a threshold would have done.

    Attributes:
        changed: the images whose verdict changes, by rising probability.
    """

    before: OperatingPoint
    after: OperatingPoint
    changed: tuple[Outcome, ...]


@dataclass(frozen=True)
class CurvePoint:
    """What a threshold does, 0..1 each; None where there is nothing to divide by."""

    threshold: float
    precision: float | None
    recall: float | None
    false_alarm_rate: float | None


@dataclass(frozen=True)
class Band:
    """Anomaly probabilities so near a threshold that a person should look: those between `low` and `high`, 0..1."""

    low: float
    high: float

    def holds(self, anomaly_probability: float) -> bool:
        """Whether a probability lies inside; the ends do not."""
        return self.low < anomaly_probability < self.high


def operating_point(outcomes: Iterable[Outcome], threshold: float) -> OperatingPoint:
    """
    Raises:
        InvalidRequestError: the threshold is not 0..1.
    """
    if not 0 <= threshold <= 1:
        raise InvalidRequestError(f"A threshold of {threshold} is no probability; it lies between 0 and 1")
    verdicts = [(outcome.is_anomalous, outcome.anomaly_probability >= threshold) for outcome in outcomes]
    count = verdicts.count
    return OperatingPoint(
        threshold, Confusion(count((True, True)), count((False, True)), count((True, False)), count((False, False)))
    )


def threshold_change(outcomes: Sequence[Outcome], before: float, after: float) -> ThresholdChange:
    """
    Raises:
        InvalidRequestError: a threshold is not 0..1.
    """
    low, high = sorted((before, after))
    changed = [outcome for outcome in outcomes if low <= outcome.anomaly_probability < high]
    changed.sort(key=lambda outcome: outcome.anomaly_probability)
    return ThresholdChange(operating_point(outcomes, before), operating_point(outcomes, after), tuple(changed))


def threshold_for_false_alarms(outcomes: Iterable[Outcome], share: float) -> float:
    """The threshold that a new normal image reaches with probability `share`, 0..1 both.

    Where ten normals may alarm, a new one reaches the tenth highest of n with probability 10 / (n + 1), whatever their
    distribution. Of few there is no such place: of thirty the highest is passed by one new one in thirty, not in a
    hundred. There the oddest ten tell how fast the log-odds fall off, exponentially, and the threshold is a quantile of
    the predictive distribution, which knows that a scale estimated from ten is doubtful. The mean share of false alarms
    is nearly `share` for exponential tails and less for normal ones; for a lognormal, which twenty images do not show,
    2 % where 1 % is asked (tests/unit/quality). docs/engine.md has it for real sets.

    Raises:
        InvalidRequestError: the share is not between 0 and 1, or fewer than 10 images are normal.
    Source: the excesses of an exponential tail, with the scale-invariant prior, give a Lomax distribution.
    """
    if not 0 < share < 1:
        raise InvalidRequestError(f"{share} of the normal images is no share to allow; it lies between 0 and 1")
    normals = sorted((logit(o.anomaly_probability) for o in outcomes if not o.is_anomalous), reverse=True)
    count = len(normals)
    if count < MIN_NORMAL_IMAGES:
        raise InvalidRequestError(
            f"The evaluation has {count} normal images; {MIN_NORMAL_IMAGES} are needed to tell how often others would "
            "alarm: give a threshold by its value"
        )
    tail, rank = min(_TAIL, count // 3), math.floor((count + 1) * share)
    if rank >= tail:
        return sigmoid(normals[rank - 1] + _CLEAR)
    excess = sum(normals[:tail]) - tail * normals[tail]
    return sigmoid(normals[tail] + excess * ((tail / (count * share)) ** (1 / tail) - 1) + _CLEAR)


def threshold_for_recall(outcomes: Sequence[Outcome], share: float) -> float:
    """The highest threshold at which at least `share`, 0..1, of the evaluation's anomalous images are found.

    Halfway down to the next lower probability of any image, so that rounding moves no verdict.

    Raises:
        InvalidRequestError: the share is 0 or less or above 1, or no image is anomalous.
    """
    if not 0 < share <= 1:
        raise InvalidRequestError(f"{share} of the anomalous images is no share to find; it lies above 0, at most 1")
    anomalies = sorted((o.anomaly_probability for o in outcomes if o.is_anomalous), reverse=True)
    if not anomalies:
        raise InvalidRequestError("The evaluation has no anomalous image to tell a recall by; ask for false alarms")
    wanted = math.ceil(share * len(anomalies) - 1e-9)  # .29 x 100 is 28.999999999999996 or 29.000000000000004
    lowest = anomalies[wanted - 1]
    below = max((o.anomaly_probability for o in outcomes if o.anomaly_probability < lowest), default=0.0)
    return (lowest + below) / 2


def precision_recall_curve(outcomes: Iterable[Outcome]) -> tuple[CurvePoint, ...]:
    """A point for each probability that occurs, taken as the threshold, from the highest down."""
    ranked = sorted(outcomes, key=lambda outcome: -outcome.anomaly_probability)
    positives = sum(outcome.is_anomalous for outcome in ranked)
    negatives = len(ranked) - positives
    points, hits, alarms = [], 0, 0
    for probability, tied in groupby(ranked, key=lambda outcome: outcome.anomaly_probability):
        labels = [outcome.is_anomalous for outcome in tied]
        hits, alarms = hits + labels.count(True), alarms + labels.count(False)
        points.append(
            CurvePoint(
                threshold=probability,
                precision=hits / (hits + alarms),
                recall=hits / positives if positives else None,
                false_alarm_rate=alarms / negatives if negatives else None,
            )
        )
    return tuple(points)


def distance_from_threshold(anomaly_probability: float, threshold: float) -> float:
    """In log-odds, 0 or more: the smaller, the sooner a person should look."""
    return abs(logit(anomaly_probability) - logit(threshold))


def borderline_band(outcomes: Iterable[Outcome], threshold: float) -> Band:
    """The band, as far up as down in log-odds, that holds the 5 % of the outcomes that are nearest the threshold.

    One image of few. It ends before the next one, so it never fills with many that are equally sure. Of no outcomes
    it is empty.
    """
    distances = sorted(distance_from_threshold(o.anomaly_probability, threshold) for o in outcomes)
    if not distances:
        return Band(threshold, threshold)
    held = max(1, round(_BORDERLINE_SHARE * len(distances)))
    reach = distances[min(held, len(distances) - 1)] * (1 - 1e-9)  # less, or rounding might let the next one in
    return Band(sigmoid(logit(threshold) - reach), sigmoid(logit(threshold) + reach))
