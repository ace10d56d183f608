"""Altered copies that training makes of normal pictures."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relook.detection.arrays import ByteArray
from relook.detection.view import View
from relook.learning.data.synthesis import nudge, relight
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


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, name=st.sampled_from(["part", "plate"]), height=st.sampled_from([160, 192, 256]))
def test_another_light_is_no_other_picture(seed: int, name: str, height: int) -> None:
    picture = np.ascontiguousarray(PICTURES[name][:height])
    kept = picture.copy()

    lit = relight(picture, generator(seed))

    assert (lit.shape, lit.dtype) == (picture.shape, picture.dtype)
    assert np.array_equal(picture, kept)
    assert 0 < np.abs(lit.astype(float) - picture).mean() < 0.5 * picture.mean()
    assert np.corrcoef(lit.mean(axis=2).ravel(), picture.mean(axis=2).ravel())[0, 1] > 0.9
    assert np.array_equal(relight(picture, generator(seed)), lit)


def test_copies_reach_a_quarter_darker_and_a_quarter_brighter_but_not_twice_that() -> None:
    plain = np.full((64, 64, 3), 120, np.uint8)
    levels = np.array([relight(plain, generator(seed)).mean() / 120 for seed in range(60)])
    assert 0.5 < levels.min() < 0.8 and 1.2 < levels.max() < 1.5


def test_copies_are_coded_and_focused_otherwise_each_time() -> None:
    """Other fine detail, whatever the light."""
    noise = PICTURES["noise"]
    detail = [relight(noise, generator(seed)).astype(float) for seed in range(12)]
    sharpness = [np.diff(each, axis=1).std() / each.std() for each in detail]
    assert max(sharpness) > 1.2 * min(sharpness)


def test_a_nudged_part_stays_where_it_was_within_two_percent() -> None:
    view = View((200, 300), (0, 0, 300, 200), (128, 192))
    center, corner = np.array([150.0, 100.0, 1.0]), np.array([290.0, 190.0, 1.0])
    moves = []
    for seed in range(40):
        pose = nudge(generator(seed))
        assert abs(pose.angle_deg) <= 2
        matrix = pose.matrix((150, 100), max(view.frame))
        moves.append(matrix @ center - center)
        assert np.abs(matrix @ corner - corner).max() < 0.02 * 300 + 0.02 * 145 + 0.035 * 170
    reach = np.abs(moves)[:, :2].max(axis=0)
    assert (reach > 0.015 * 300).all() and (reach <= 0.02 * 300 + 1e-6).all()
    assert nudge(generator(3)) == nudge(generator(3)) != nudge(generator(4))
