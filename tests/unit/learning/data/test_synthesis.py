"""Made-up defects and altered copies that training makes of normal pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relook.detection.arrays import ByteArray
from relook.learning.data.synthesis import alter, paint_defect
from tests.unit.learning.pictures import plate
from tests.unit.learning.turned import lying, squashed

SEEDS = st.integers(0, 2**32 - 1)


def pictures() -> dict[str, ByteArray]:
    random = np.random.default_rng(0)
    return {
        "part": squashed(lying(0)),
        "plate": np.kron(plate(0)[0][:64, :64], np.ones((4, 4, 1), np.uint8)),
        "noise": random.integers(0, 256, (256, 256, 3), np.uint8),
    }


PICTURES = pictures()


def generator(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(["part", "plate", "noise"]))
def test_a_painted_defect_is_visible_and_leaves_most_as_it_was(seed: int, name: str) -> None:
    picture = PICTURES[name]
    kept = picture.copy()

    painted = paint_defect(picture, generator(seed))

    assert (painted.shape, painted.dtype) == (picture.shape, picture.dtype)
    assert np.array_equal(picture, kept)
    change = np.abs(painted.astype(float) - picture).mean(axis=2)
    assert (change > 7).sum() >= 12
    assert (change == 0).mean() > 0.8
    assert np.array_equal(paint_defect(picture, generator(seed)), painted)


def test_defects_differ_in_kind_and_place() -> None:
    covers = [
        np.abs(paint_defect(PICTURES["part"], generator(seed)).astype(int) - PICTURES["part"]) for seed in range(24)
    ]
    touched = np.stack([cover.max(axis=2) > 7 for cover in covers])
    assert touched.any(axis=0).mean() > 3 * touched.mean()
    assert len({tuple(np.argwhere(each).mean(axis=0).round()) for each in touched}) > 20


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_plain_picture_gets_its_defect_too(level: int) -> None:
    plain = np.full((256, 256, 3), level, np.uint8)
    changed = [(paint_defect(plain, generator(seed)) != plain).any() for seed in range(40)]
    assert all(changed)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(["part", "plate"]))
def test_an_altered_copy_changes_little(seed: int, name: str) -> None:
    picture = PICTURES[name]
    altered = alter(picture, generator(seed))
    assert (altered.shape, altered.dtype) == (picture.shape, picture.dtype)
    assert altered.mean() == pytest.approx(picture.mean(), rel=0.07)
    assert 0 < np.abs(altered.astype(float) - picture).mean() < 15
    # It is the picture itself that moved, not another one
    assert np.corrcoef(altered.mean(axis=2).ravel(), picture.mean(axis=2).ravel())[0, 1] > 0.7
    assert np.array_equal(alter(picture, generator(seed)), altered)


def test_a_spot_in_the_middle_stays_within_two_percent() -> None:
    picture = np.full((256, 256, 3), 40, np.uint8)
    picture[126:130, 126:130] = 240
    for seed in range(20):
        bright = np.argwhere(alter(picture, generator(seed)).mean(axis=2) > 90)
        assert np.abs(bright.mean(axis=0) - 127.5).max() < 0.02 * 256 + 1


def test_a_plain_picture_altered_stays_plain() -> None:
    """Edges are repeated, so nothing of a frame comes in."""
    for seed in range(5):
        altered = alter(np.full((256, 256, 3), 100, np.uint8), generator(seed))
        assert altered.min() == altered.max()
        assert 94 <= altered[0, 0, 0] <= 105
