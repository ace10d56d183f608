"""Two versions on the same images, held against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from relook.errors import InvalidRequestError
from relook.quality.comparison import compare, mcnemar, mean_difference
from relook.quality.rates import Confusion
from relook.quality.thresholds import Outcome


def outcomes(probabilities: dict[str, float]) -> list[Outcome]:
    """Named for what they are: `a…` is anomalous, `n…` normal."""
    return [Outcome(name, name.startswith("a"), p) for name, p in probabilities.items()]


HOSTED = outcomes({"n1": 0.1, "n2": 0.6, "n3": 0.2, "a1": 0.9, "a2": 0.4, "a3": 0.3})
CANDIDATE = outcomes({"a3": 0.6, "a2": 0.45, "a1": 0.8, "n3": 0.75, "n2": 0.3, "n1": 0.05})


def test_both_are_measured_at_their_own_thresholds() -> None:
    comparison = compare(HOSTED, CANDIDATE, hosted_threshold=0.5, candidate_threshold=0.44)
    assert comparison.hosted.confusion == Confusion(1, 1, 2, 2)
    assert comparison.candidate.confusion == Confusion(3, 1, 0, 2)
    assert comparison.hosted.confusion.f1 == pytest.approx(0.4)
    assert comparison.candidate.confusion.f1 == pytest.approx(6 / 7)
    assert [(each.name, each.is_candidate_right) for each in comparison.disagreements] == [
        ("n3", False),
        ("n2", True),
        ("a2", True),
        ("a3", True),
    ]
    assert (comparison.disagreements[0].hosted_probability, comparison.disagreements[0].candidate_probability) == (
        0.2,
        0.75,
    )
    assert comparison.p_value == pytest.approx(stats.binomtest(3, 4).pvalue)
    assert comparison.reading == (
        "With the candidate 2 more of 3 anomalous images are found and as many of 3 normal images are called "
        "anomalous; where the versions disagree it is right 3 times and wrong 1, which may be chance (p = 0.62)."
    )


def test_the_gain_is_on_the_right_side_of_the_threshold() -> None:
    gain = compare(HOSTED, CANDIDATE, hosted_threshold=0.5, candidate_threshold=0.44).margin_gain
    old = np.array([logit(each.anomaly_probability) for each in HOSTED])
    new = np.array([logit(each.anomaly_probability) for each in reversed(CANDIDATE)]) - logit(0.44)
    gains = np.where([each.is_anomalous for each in HOSTED], new - old, old - new)
    interval = stats.ttest_1samp(gains, 0).confidence_interval()
    assert gain.mean == pytest.approx(gains.mean())
    assert gain.count == 6
    assert [gain.low, gain.high] == pytest.approx([interval.low, interval.high], rel=2e-3)


@pytest.mark.parametrize("count", [5, 6, 10, 30, 200])
def test_the_interval_is_that_of_a_paired_t_test(count: int) -> None:
    generator = np.random.default_rng(count)
    first, second = generator.normal(size=count), generator.normal(0.4, 2, size=count)
    interval = stats.ttest_rel(second, first).confidence_interval()
    gain = mean_difference((second - first).tolist())
    tolerance = 1e-3 * (interval.high - interval.low)
    assert [gain.low, gain.high] == pytest.approx([interval.low, interval.high], abs=tolerance)


def test_few_pairs_have_no_interval() -> None:
    interval = mean_difference([1.0, 2.0, 3.0, 6.0])
    assert (interval.mean, interval.low, interval.high, interval.count) == (3.0, None, None, 4)


@pytest.mark.parametrize(("better", "worse"), [(0, 0), (1, 0), (4, 4), (5, 4), (9, 1), (0, 12), (30, 55), (900, 1100)])
def test_mcnemar_is_the_exact_binomial_test(better: int, worse: int) -> None:
    expected = stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    assert mcnemar(better, worse) == pytest.approx(expected)
    assert mcnemar(worse, better) == mcnemar(better, worse)


def test_a_difference_that_chance_does_not_explain_is_called_one() -> None:
    old = outcomes({f"a{number}": 0.2 for number in range(9)} | {"n": 0.1})
    new = outcomes({f"a{number}": 0.9 for number in range(9)} | {"n": 0.1})
    thresholds = {"hosted_threshold": 0.5, "candidate_threshold": 0.5}
    assert compare(old, new, **thresholds).reading.endswith("right 9 times and wrong 0, so it is better (p = 0.0039).")
    assert compare(new, old, **thresholds).reading.endswith("right 0 times and wrong 9, so it is worse (p = 0.0039).")
    same = compare(old, old, **thresholds)
    assert (same.p_value, same.disagreements) == (1.0, ())
    assert same.reading == "The versions give every image the same verdict."


def test_normal_images_alone_are_compared_too() -> None:
    comparison = compare(outcomes({"n": 0.9}), outcomes({"n": 0.1}), hosted_threshold=0.5, candidate_threshold=0.5)
    assert comparison.reading == (
        "With the candidate there are no anomalous images to be found and 1 fewer of 1 normal image is called "
        "anomalous; where the versions disagree it is right 1 time and wrong 0, which may be chance (p = 1)."
    )


@pytest.mark.parametrize(
    ("hosted", "candidate", "message"),
    [
        ([Outcome("a", True, 0.5)], [Outcome("b", True, 0.5)], "2 images were judged by one version only, such as a"),
        ([Outcome("a", True, 0.5)], [Outcome("a", False, 0.5)], "a has two labels"),
        ([Outcome("a", True, 0.5)] * 2, [Outcome("a", True, 0.5)], "occurs twice"),
        ([], [], "no image"),
    ],
)
def test_what_cannot_be_compared_is_refused(hosted: list[Outcome], candidate: list[Outcome], message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        compare(hosted, candidate, hosted_threshold=0.5, candidate_threshold=0.5)
