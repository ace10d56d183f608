"""Defects that benchmarks paint on normal pictures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.painting import paint_defect
from tests.unit.learning.data.test_synthesis import PICTURES, SEEDS, generator


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
