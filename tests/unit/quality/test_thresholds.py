"""Operating points, and thresholds that do what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit
from sklearn.metrics import precision_recall_curve as reference_curve

from relook.errors import InvalidRequestError
from relook.float32 import exact_float32
from relook.quality.rates import Confusion
from relook.quality.thresholds import (
    Outcome,
    borderline_band,
    distance_from_threshold,
    operating_point,
    precision_recall_curve,
    threshold_change,
    threshold_for_false_alarms,
    threshold_for_recall,
)


def outcomes(normal: Iterable[float], anomalous: Iterable[float] = ()) -> list[Outcome]:
    labeled = [(p, False) for p in normal] + [(p, True) for p in anomalous]
    return [Outcome(f"{index}.jpg", label, float(p)) for index, (p, label) in enumerate(labeled)]


FEW = outcomes([0.1, 0.2, 0.3, 0.6], [0.3, 0.7, 0.9])


def test_an_image_at_the_threshold_is_anomalous() -> None:
    assert operating_point(FEW, 0.3).confusion == Confusion(3, 2, 0, 2)
    assert operating_point(FEW, 0.31).confusion == Confusion(2, 1, 1, 3)
    assert operating_point(FEW, 0.0).confusion == Confusion(3, 4, 0, 0)
    assert operating_point(FEW, 1.0).confusion == Confusion(0, 0, 3, 4)


@pytest.mark.parametrize("threshold", [-0.1, 1.01, float("nan")])
def test_a_threshold_is_a_probability(threshold: float) -> None:
    with pytest.raises(InvalidRequestError, match=str(threshold)):
        operating_point(FEW, threshold)


@pytest.mark.parametrize(("before", "after"), [(0.3, 0.7), (0.7, 0.3)])
def test_the_images_that_change_sides(before: float, after: float) -> None:
    change = threshold_change(FEW, before, after)
    assert [outcome.name for outcome in change.changed] == ["2.jpg", "4.jpg", "3.jpg"]
    assert (change.before, change.after) == (operating_point(FEW, before), operating_point(FEW, after))


def test_the_tail_of_thirty_normals_by_hand() -> None:
    # The ten highest of thirty lie .1 .. 1.0 above the eleventh: 5.5 in all. (10 / (30 x .01)) ** .1 = 1.41999.
    log_odds = [-3 - 0.1 * step for step in range(20)] + [-3 + 0.1 * step for step in range(1, 11)]
    threshold = threshold_for_false_alarms(outcomes(expit(log_odds), [0.99]), 0.01)
    assert logit(threshold) == pytest.approx(-3 + 5.5 * 0.41999 + 0.001, abs=1e-4)


def test_where_ten_may_alarm_it_lies_just_above_the_tenth() -> None:
    log_odds = np.linspace(-6, 4, 199)
    assert logit(threshold_for_false_alarms(outcomes(expit(log_odds)), 0.05)) == pytest.approx(log_odds[-10] + 0.001)


DRAWS: dict[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda generator, shape: generator.normal(size=shape),
    "exponential": lambda generator, shape: generator.exponential(size=shape),
    "gumbel": lambda generator, shape: generator.gumbel(size=shape),
    "student": lambda generator, shape: generator.standard_t(5, size=shape),
    "uniform": lambda generator, shape: generator.uniform(size=shape),
    "lognormal": lambda generator, shape: generator.lognormal(size=shape),
}
TRUTH = {
    "normal": stats.norm(),
    "exponential": stats.expon(),
    "gumbel": stats.gumbel_r(),
    "student": stats.t(5),
    "uniform": stats.uniform(),
    "lognormal": stats.lognorm(1),
}


@pytest.mark.parametrize(("normals", "share"), [(20, 0.01), (30, 0.01), (60, 0.01), (30, 0.05), (100, 0.2)])
@pytest.mark.parametrize("name", DRAWS)
def test_new_normals_keep_within_what_was_asked(name: str, normals: int, share: float) -> None:
    log_odds = DRAWS[name](np.random.default_rng(7), (12_000 // normals, normals)) - 3
    thresholds = [threshold_for_false_alarms(outcomes(expit(each)), share) for each in log_odds]
    alarms = TRUTH[name].sf(logit(thresholds) + 3)
    heavy = name == "lognormal"  # heavier than an exponential tail: what few normals do not show
    assert alarms.mean() < share * (2.5 if heavy else 1.35)
    assert (alarms <= 3 * share).mean() > (0.75 if heavy else 0.87)


def test_the_quantile_of_few_normals_would_not() -> None:
    draws = DRAWS["exponential"](np.random.default_rng(7), (250, 30))
    assert TRUTH["exponential"].sf(np.quantile(draws, 0.99, axis=1)).mean() > 0.03


def test_many_normals_lose_little_to_caution() -> None:
    judged = outcomes(expit(np.random.default_rng(3).normal(size=2_000) - 3))
    alarms = operating_point(judged, threshold_for_false_alarms(judged, 0.01)).confusion.false_alarm_rate
    assert 16 <= alarms.hits < 20  # the twentieth highest stays just below


@pytest.mark.parametrize(("probability", "share"), [(0.2, 0.01), (0.2, 0.5), (0.0, 0.01), (0.999, 0.5)])
def test_normals_that_are_all_alike_do_not_alarm(probability: float, share: float) -> None:
    threshold = threshold_for_false_alarms(outcomes([probability] * 12), share)
    assert threshold == pytest.approx(probability, abs=2e-4)
    assert exact_float32(threshold) > probability


def test_sure_normals_are_not_beyond_the_scale() -> None:
    assert 0.999 < threshold_for_false_alarms(outcomes([0.0] * 10 + [1.0] * 5), 0.01) <= 1


@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_many_false_alarms_may_be_asked_for(share: float) -> None:
    judged = outcomes(np.linspace(0.01, 0.9, 50))
    rate = operating_point(judged, threshold_for_false_alarms(judged, share)).confusion.false_alarm_rate
    assert rate.share == pytest.approx(share, abs=0.04)


def test_what_cannot_be_told_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="has 9 normal images"):
        threshold_for_false_alarms(outcomes([0.1] * 9, [0.9]), 0.01)
    for share in (0.0, 1.0, -1.0):
        with pytest.raises(InvalidRequestError, match=str(share)):
            threshold_for_false_alarms(outcomes([0.1] * 20), share)
    with pytest.raises(InvalidRequestError, match="no anomalous image"):
        threshold_for_recall(outcomes([0.1]), 0.9)
    for share in (0.0, 1.1):
        with pytest.raises(InvalidRequestError, match=str(share)):
            threshold_for_recall(FEW, share)


def test_the_highest_threshold_with_a_recall() -> None:
    assert threshold_for_recall(FEW, 1.0) == pytest.approx(0.25)  # between the anomaly at .3 and the normal at .2
    assert threshold_for_recall(FEW, 0.67) == pytest.approx(0.25)
    assert threshold_for_recall(FEW, 0.66) == pytest.approx(0.65)
    assert threshold_for_recall(outcomes([0.4], [0.0, 0.5]), 1.0) == 0.0


@pytest.mark.parametrize("share", [0.01, 0.29, 0.5, 0.57, 0.99, 1.0])
def test_a_recall_is_kept_and_no_higher_threshold_keeps_it(share: float) -> None:
    generator = np.random.default_rng(5)
    judged = outcomes(generator.beta(1, 4, 80), generator.beta(4, 1, 100))
    threshold = threshold_for_recall(judged, share)
    recall = operating_point(judged, threshold).confusion.recall
    assert recall.hits == round(share * 100)
    higher = min(each.anomaly_probability for each in judged if each.anomaly_probability >= threshold) + 1e-9
    assert operating_point(judged, higher).confusion.recall.hits < round(share * 100)


def test_the_curve_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(2)
    judged = outcomes(generator.integers(0, 12, 40) / 20, generator.integers(5, 20, 30) / 20)
    precision, recall, thresholds = reference_curve(
        [each.is_anomalous for each in judged], [each.anomaly_probability for each in judged]
    )
    points = precision_recall_curve(judged)[::-1]
    assert [point.threshold for point in points] == pytest.approx(thresholds)
    assert [point.precision for point in points] == pytest.approx(precision[:-1])
    assert [point.recall for point in points] == pytest.approx(recall[:-1])
    for point in points:
        assert point.false_alarm_rate == operating_point(judged, point.threshold).confusion.false_alarm_rate.share
    assert precision_recall_curve(outcomes([0.3]))[0].recall is None
    assert precision_recall_curve([]) == ()


@pytest.mark.parametrize("threshold", [0.02, 0.3, 0.5, 0.9])
def test_the_band_holds_the_nearest_twentieth(threshold: float) -> None:
    generator = np.random.default_rng(8)
    judged = outcomes(generator.beta(1, 4, 60), generator.beta(4, 1, 40))
    band = borderline_band(judged, threshold)
    inside = {each.name for each in judged if band.holds(each.anomaly_probability)}
    nearest = sorted(judged, key=lambda each: abs(logit(each.anomaly_probability) - logit(threshold)))
    assert inside == {each.name for each in nearest[:5]}
    assert logit(threshold) - logit(band.low) == pytest.approx(logit(band.high) - logit(threshold))


def test_the_band_does_not_fill_with_images_that_are_equally_sure() -> None:
    judged = outcomes([0.0] * 30, [1.0] * 30)
    band = borderline_band(judged, 0.5)
    assert not any(band.holds(each.anomaly_probability) for each in judged)
    assert band.holds(0.5) and band.holds(0.999)
    assert not borderline_band([], 0.5).holds(0.5)


def test_distance_is_in_log_odds_and_finite() -> None:
    assert distance_from_threshold(0.9, 0.5) == pytest.approx(np.log(9))
    assert distance_from_threshold(0.1, 0.5) == pytest.approx(np.log(9))
    assert distance_from_threshold(0.0, 1.0) == pytest.approx(2 * np.log(1e6), rel=1e-6)
