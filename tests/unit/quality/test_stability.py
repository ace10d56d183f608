"""The population stability index, by hand and by simulation."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from relook.errors import InvalidRequestError
from relook.quality import stability as module
from relook.quality.stability import Reading, population_stability_index, stability

Draw = Callable[[np.random.Generator, int], np.ndarray]
DRAWS: dict[str, Draw] = {
    "normal": lambda generator, count: generator.normal(size=count),
    "gamma": lambda generator, count: generator.gamma(2, size=count),
    "student": lambda generator, count: generator.standard_t(3, size=count),
    "lognormal": lambda generator, count: generator.lognormal(size=count),
    "whole numbers": lambda generator, count: np.round(generator.normal(size=count)),
}
SPREADS = {
    name: 1.4826 * float(np.median(np.abs(values - np.median(values))))
    for name, values in ((name, draw(np.random.default_rng(0), 20_000)) for name, draw in DRAWS.items())
}
ROUNDS = 100


def test_the_plain_index_by_hand() -> None:
    # (.2 - .5) ln(.2 / .5) + (.3 - .3) ln 1 + (.5 - .2) ln(.5 / .2) = .6 ln 2.5
    assert population_stability_index([0.5, 0.3, 0.2], [0.2, 0.3, 0.5]) == pytest.approx(0.6 * math.log(2.5))
    assert population_stability_index([0.25] * 4, [0.25] * 4) == 0
    with pytest.raises(ValueError, match="shorter"):
        population_stability_index([0.5, 0.5], [1.0])


def test_a_stream_by_hand() -> None:
    actual = stability(range(1, 101), [10.0] * 50 + [60.0] * 100 + [90.0] * 50)
    assert actual.edges == pytest.approx((25.75, 50.5, 75.25))
    assert actual.reference_shares == pytest.approx([0.25] * 4)
    assert actual.shares == pytest.approx([50.5 / 202, 0.5 / 202, 100.5 / 202, 50.5 / 202])
    plain = (0.5 / 202 - 0.25) * math.log(2 / 202) + (100.5 / 202 - 0.25) * math.log(402 / 202)
    assert actual.plain_index == pytest.approx(plain)
    assert actual.index == pytest.approx(plain - actual.chance)
    assert actual.chance == pytest.approx(stats.chi2.ppf(0.925, 3) * (1 / 100 + 1 / 200), rel=1e-4)
    assert actual.shift == pytest.approx(60 - 50.5)
    assert (actual.images, actual.reference_images) == (200, 100)
    assert actual.reading is Reading.DRIFT


def readings(name: str, normals: int, images: int, shift: float) -> list[Reading]:
    """Of `ROUNDS` trainings, each with a stream of its own."""
    generator, draw = np.random.default_rng(11), DRAWS[name]
    judged = []
    for _ in range(ROUNDS):
        reference, stream = draw(generator, normals), draw(generator, images) + shift * SPREADS[name]
        judged.append(stability(reference.tolist(), stream.tolist()).reading)
    return judged


@pytest.mark.parametrize("images", [100, 500])
@pytest.mark.parametrize("normals", [20, 60, 200])
def test_an_unchanged_stream_is_hardly_ever_reported(normals: int, images: int) -> None:
    judged = [reading for name in DRAWS for reading in readings(name, normals, images, 0.0)]
    assert judged.count(Reading.DRIFT) <= 0.01 * len(judged)
    assert judged.count(Reading.STABLE) >= 0.95 * len(judged)


@pytest.mark.parametrize("shift", [1.5, -1.5])
@pytest.mark.parametrize("normals", [20, 60])
def test_a_shift_of_one_and_a_half_spreads_is_found(normals: int, shift: float) -> None:
    judged = [reading for name in DRAWS for reading in readings(name, normals, 100, shift)]
    missed = len(judged) - judged.count(Reading.DRIFT)
    # The median of twenty normals is off by .3 spreads itself; a bad draw of them hides some of the shift.
    assert missed <= (0.02 if normals == 20 else 0.0) * len(judged)


def test_changed_light_is_found_whatever_the_normals() -> None:
    assert set(readings("student", 20, 200, 3.0)) == {Reading.DRIFT}


def test_few_images_are_not_read() -> None:
    reference = [number / 10 for number in range(50)]
    assert stability(reference, [99.0] * 99).reading is Reading.TOO_FEW_IMAGES
    assert stability(reference, [99.0] * 100).reading is Reading.DRIFT
    empty = stability(reference, [])
    assert (empty.reading, empty.shift, empty.images) == (Reading.TOO_FEW_IMAGES, None, 0)


def test_a_statistic_that_never_varies() -> None:
    assert stability([0.0] * 30, [0.0] * 500).reading is Reading.STABLE
    assert stability([0.0] * 30, [-0.5] * 500).reading is Reading.DRIFT
    assert stability([0.0] * 30, [0.5] * 500).reading is Reading.DRIFT
    assert stability([0.0] * 30, [1e-4, -1e-4] * 250).reading is Reading.STABLE
    assert stability([0.0] * 30, [0.0] * 500).reference_shares == pytest.approx([0.25] * 4)


def test_between_the_usual_limits_it_is_watched() -> None:
    reference = list(range(4000))
    # Quarters of .25 become .35, .25, .25, .15: .1 ln 1.4 - .1 ln .6 = .0847, and .4, .25, .25, .1: .15 ln 4 = .2079
    assert stability(reference, _quarters(3500, 2500, 2500, 1500)).reading is Reading.STABLE
    actual = stability(reference, _quarters(4000, 2500, 2500, 1000))
    assert actual.plain_index == pytest.approx(0.2079, abs=2e-4)
    assert actual.reading is Reading.WATCH


def test_a_model_without_the_statistic_says_so() -> None:
    with pytest.raises(InvalidRequestError, match="train it again"):
        stability([], [1.0])


def test_the_constant_for_chance_is_a_quantile_of_chi_square() -> None:
    assert stats.chi2.ppf(0.925, module._BINS - 1) == pytest.approx(module._CHANCE, abs=1e-3)


def _quarters(*counts: int) -> list[float]:
    return [500.0 + 1000 * number for number, count in enumerate(counts) for _ in range(count)]
