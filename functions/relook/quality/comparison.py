"""Two model versions on the same images: which is better, and whether that may be chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

from relook.detection.calibration import logit
from relook.errors import InvalidRequestError
from relook.quality.thresholds import OperatingPoint, Outcome, operating_point

_CERTAIN = 0.05  # the usual level: what chance gives less often than this is taken for a difference
_LEAST_FOR_INTERVAL = 5  # of fewer differences the interval is as wide as a guess


@dataclass(frozen=True)
class MeanDifference:
    """Of `count` pairs; `low` and `high` are Student's 95 % interval, None of fewer than 5 pairs."""

    mean: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class Disagreement:
    """An image on which the verdicts differ.

    Attributes:
        is_anomalous: the label; of two verdicts that differ, one is right.
        is_candidate_right: which.
        hosted_probability, candidate_probability: of being anomalous, 0..1.
    """

    name: str
    is_anomalous: bool
    is_candidate_right: bool
    hosted_probability: float
    candidate_probability: float


@dataclass(frozen=True)
class Comparison:
    """A candidate against the hosted version.

    Attributes:
        hosted, candidate: counts and rates of each at its own threshold; F1 is `confusion.f1`.
        disagreements: those the candidate gets wrong first, each part in the order of the images.
        p_value: 0..1, McNemar's exact test of the verdicts, two-sided: how often as uneven a split of the disagreements
            comes about by chance.
        margin_gain: how much further on the right side of its threshold the candidate puts an image, in log-odds.
        reading: the answer in a sentence.
    """

    hosted: OperatingPoint
    candidate: OperatingPoint
    disagreements: tuple[Disagreement, ...]
    p_value: float
    margin_gain: MeanDifference
    reading: str


def compare(
    hosted: Sequence[Outcome],
    candidate: Sequence[Outcome],
    *,
    hosted_threshold: float,
    candidate_threshold: float,
) -> Comparison:
    """
    Args:
        hosted, candidate: of the same images by name, in any order, with the same labels; at least one.
    Raises:
        InvalidRequestError: the images or their labels differ, a name occurs twice, or there is none; a threshold is
            not 0..1.
    """
    pairs = _pairs(hosted, candidate)
    before, after = operating_point(hosted, hosted_threshold), operating_point(candidate, candidate_threshold)
    disagreements = [
        Disagreement(
            name=old.name,
            is_anomalous=old.is_anomalous,
            is_candidate_right=(new.anomaly_probability >= candidate_threshold) == old.is_anomalous,
            hosted_probability=old.anomaly_probability,
            candidate_probability=new.anomaly_probability,
        )
        for old, new in pairs
        if (old.anomaly_probability >= hosted_threshold) != (new.anomaly_probability >= candidate_threshold)
    ]
    better = sum(each.is_candidate_right for each in disagreements)
    p_value = mcnemar(better, len(disagreements) - better)
    gains = [_margin(new, candidate_threshold) - _margin(old, hosted_threshold) for old, new in pairs]
    return Comparison(
        hosted=before,
        candidate=after,
        disagreements=tuple(sorted(disagreements, key=lambda each: each.is_candidate_right)),
        p_value=p_value,
        margin_gain=mean_difference(gains),
        reading=_reading(before, after, better, len(disagreements) - better, p_value),
    )


def mcnemar(better: int, worse: int) -> float:
    """Two-sided exact p-value, 0..1, of so many disagreements won and lost; 1 of none.

    Source: McNemar 1947, with the binomial distribution itself, which few disagreements need.
    """
    count = better + worse
    tail = sum(math.comb(count, number) for number in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << count))  # of integers: where thousands disagree, neither is a float


def mean_difference(differences: Sequence[float]) -> MeanDifference:
    """Of at least one paired difference, in their own unit."""
    count, mean = len(differences), fmean(differences)
    if count < _LEAST_FOR_INTERVAL:
        return MeanDifference(mean, None, None, count)
    reach = _student_quantile(count - 1) * stdev(differences) / math.sqrt(count)
    return MeanDifference(mean, mean - reach, mean + reach, count)


def _pairs(hosted: Sequence[Outcome], candidate: Sequence[Outcome]) -> list[tuple[Outcome, Outcome]]:
    old, new = ({outcome.name: outcome for outcome in each} for each in (hosted, candidate))
    if len(old) < len(hosted) or len(new) < len(candidate):
        raise InvalidRequestError("An image occurs twice; each must be judged once by each version")
    alone = sorted(old.keys() ^ new.keys())
    if alone:
        raise InvalidRequestError(
            f"{len(alone)} images were judged by one version only, such as {alone[0]}; both must judge the same images"
        )
    if not old:
        raise InvalidRequestError("There is no image to compare the versions on")
    for name, outcome in old.items():
        if outcome.is_anomalous != new[name].is_anomalous:
            raise InvalidRequestError(f"{name} has two labels; both versions must be held against the same one")
    return [(outcome, new[name]) for name, outcome in old.items()]


def _margin(outcome: Outcome, threshold: float) -> float:
    above = logit(outcome.anomaly_probability) - logit(threshold)
    return above if outcome.is_anomalous else -above


def _student_quantile(degrees: int) -> float:
    """97.5 %, to .001 from 4 degrees of freedom on. Source: Abramowitz and Stegun 26.7.5."""
    z = NormalDist().inv_cdf(0.975)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / float(degrees) ** power for power, term in enumerate(terms, start=1))


def _reading(hosted: OperatingPoint, candidate: OperatingPoint, better: int, worse: int, p_value: float) -> str:
    if better + worse == 0:
        return "The versions give every image the same verdict."
    old, new = hosted.confusion, candidate.confusion
    detection = _change(new.true_positives - old.true_positives, new.recall.total, "anomalous image", "found")
    normals = new.false_alarm_rate.total
    alarms = _change(new.false_positives - old.false_positives, normals, "normal image", "called anomalous")
    counts = f"where the versions disagree it is right {better} {'time' if better == 1 else 'times'} and wrong {worse}"
    if p_value >= _CERTAIN:
        verdict = "which may be chance"
    else:
        verdict = "so it is better" if better > worse else "so it is worse"
    return f"With the candidate {detection} and {alarms}; {counts}, {verdict} (p = {p_value:.2g})."


def _change(by: int, total: int, what: str, done: str) -> str:
    """Such as "2 more of 40 anomalous images are found"."""
    if total == 0:
        return f"there are no {what}s to be {done}"
    more = "as many" if by == 0 else f"{abs(by)} {'more' if by > 0 else 'fewer'}"
    verb = "is" if abs(by) == 1 else "are"
    return f"{more} of {total} {what}{'' if total == 1 else 's'} {verb} {done}"
