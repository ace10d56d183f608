"""Near-duplicates stay together, labels are spread."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from relook.detection.view import View
from relook.learning.validation.folds import MAX_FOLDS, assign_folds, near_duplicate_groups
from tests.unit.learning.pictures import encode, plate


def seen(image: Image.Image) -> np.ndarray:
    return View.stretched(256, 256).cut(encode(image)).pixels


def test_copies_share_a_group_and_new_photographs_do_not() -> None:
    photographs = [Image.fromarray(plate(seed)[0]) for seed in range(6)]
    again = Image.open(BytesIO(encode(photographs[2], "JPEG", quality=95)))
    brighter = Image.fromarray((np.asarray(photographs[4]) * 0.9).astype(np.uint8))

    groups = near_duplicate_groups(np.stack([seen(image) for image in (*photographs, again, brighter)]))

    assert len(set(groups[:6].tolist())) == 6
    assert groups[6] == groups[2]
    assert groups[7] == groups[4]


def test_likeness_is_transitive() -> None:
    random = np.random.default_rng(0)
    others = random.normal(0, 30, (20, 32, 32))
    chain = random.normal(0, 30, (32, 32)) + np.cumsum(random.normal(0, 5, (5, 32, 32)), axis=0)
    images = np.kron(np.concatenate([others, chain]) + 128, np.ones((8, 8))).clip(0, 255).astype(np.uint8)

    groups = near_duplicate_groups(np.repeat(images[..., None], 3, axis=3))

    assert len(set(groups[:20].tolist())) == 20
    assert len(set(groups[20:].tolist())) == 1


def test_photographs_of_a_part_that_lies_still_are_no_copies() -> None:
    still = plate(0)[0].astype(float)
    random = np.random.default_rng(0)
    shots = [
        Image.fromarray((still + random.normal(0, 2, still.shape)).clip(0, 255).astype(np.uint8)) for _ in range(9)
    ]
    assert len(set(near_duplicate_groups(np.stack([seen(shot) for shot in shots])).tolist())) == 9


@pytest.mark.parametrize("picture", [np.full((256, 256, 3), 7, np.uint8), seen(Image.fromarray(plate(0)[0]))])
def test_equal_images_are_copies_even_when_there_are_no_others(picture: np.ndarray) -> None:
    assert near_duplicate_groups(np.stack([picture] * 3)).tolist() == [0, 0, 0]


@given(
    st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=4, max_size=60).filter(
        lambda images: len({group for group, anomalous in images if not anomalous}) >= 2
    )
)
def test_groups_never_split(images: list[tuple[int, bool]]) -> None:
    groups = np.array([group for group, _ in images])
    label = np.array([anomalous for _, anomalous in images])

    folds = assign_folds(groups, label, np.random.default_rng(0))

    assert folds.max() < MAX_FOLDS
    for group in set(groups.tolist()):
        assert len(set(folds[groups == group].tolist())) == 1
    assert len(set(folds[~label].tolist())) >= 2
    for fold in range(int(folds[~label].max()) + 1):
        assert (~label & (folds != fold)).any(), "every round has normals to learn from"


@pytest.mark.parametrize(("normal", "anomalous"), [(30, 30), (20, 5), (9, 17)])
def test_labels_are_spread_evenly(normal: int, anomalous: int) -> None:
    label = np.array([False] * normal + [True] * anomalous)
    folds = assign_folds(np.arange(len(label)), label, np.random.default_rng(0))
    for one in (label, ~label):
        counts = np.bincount(folds[one], minlength=MAX_FOLDS)
        assert counts.max() - counts.min() <= 1
