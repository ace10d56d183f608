"""Parts brought back to the template's pose, and maps brought back to the picture's."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relook.detection.session import Session
from relook.learning.estimators.alignment import (
    ANY_DEG,
    SLIGHT_DEG,
    Alignment,
    align,
    alignment_graph,
    fit_alignment,
    likeness_as_they_are,
    undo_nodes,
)
from relook.learning.old_graph import GraphBuilder
from tests.unit.learning.turned import HEIGHT, lying, squashed

GRID = 64


@cache
def upright(aspect: float, reach_deg: float) -> Alignment:
    """A template of parts that all lie the same way."""
    pictures = np.stack([squashed(lying(seed, aspect=aspect)) for seed in range(3)])
    return fit_alignment(pictures, reach_deg, aspect, threads=2)[0]


@cache
def finder(aspect: float, reach_deg: float) -> Session:
    return Session(alignment_graph(upright(aspect, reach_deg)), threads=2)


def true_pose(turn_deg: float, right_px: float, down_px: float, aspect: float) -> NDArray[np.float64]:
    """(6,): what takes a point of the part's own frame to the picture, both -1..1."""
    angle = np.deg2rad(turn_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = 2 * right_px / (HEIGHT * aspect), 2 * down_px / HEIGHT
    return np.array([cos, -sin / aspect, x, sin * aspect, cos, y])


def degrees_apart(pose: NDArray[np.floating], turn_deg: float, aspect: float) -> float:
    found = np.rad2deg(np.arctan2(pose[3] / aspect, pose[0]))
    return float(abs((found - turn_deg + 180) % 360 - 180))


def poses(reach_deg: float, aspect: float, count: int) -> list[tuple[float, float, float]]:
    """Turns over the whole reach, and moves of up to 8 % of the height."""
    random = np.random.default_rng([int(reach_deg), int(100 * aspect)])
    turns = np.linspace(-reach_deg, reach_deg, count) + random.uniform(-1, 1, count)
    return [(float(turn), *random.uniform(-0.08, 0.08, 2) * HEIGHT) for turn in turns.clip(-reach_deg, reach_deg)]


@pytest.mark.parametrize(
    ("reach_deg", "aspect", "count"), [(ANY_DEG, 1.0, 9), (ANY_DEG, 1.5, 7), (ANY_DEG, 0.75, 5), (SLIGHT_DEG, 4 / 3, 6)]
)
def test_a_part_is_brought_back_to_the_template(reach_deg: float, aspect: float, count: int) -> None:
    for turn, right, down in poses(reach_deg, aspect, count):
        picture = lying(50, turn_deg=turn, right_px=right, down_px=down, aspect=aspect)
        found = finder(aspect, reach_deg)(image=squashed(picture)[None])
        pose, expected = found["pose"][0], true_pose(turn, right, down, aspect)
        assert degrees_apart(pose, turn, aspect) < 1.5, (turn, right, down)
        assert np.abs(pose[[2, 5]] - expected[[2, 5]]).max() * 128 < 2, (turn, right, down)
        assert found["likeness"][0] > 0.9


def test_one_that_lies_upside_down_is_not_taken_for_an_upright_one() -> None:
    found = finder(1.0, ANY_DEG)(image=squashed(lying(51, turn_deg=180))[None])
    assert degrees_apart(found["pose"][0], 180, 1.0) < 1.5
    aligned = found["aligned"][0].transpose(1, 2, 0) * 255
    assert np.abs(aligned - squashed(lying(51)))[48:-48, 48:-48].mean() < 6


def test_what_training_keeps_as_bytes_is_what_the_graph_sees() -> None:
    pictures = np.stack([squashed(lying(seed, turn_deg=30 * seed)) for seed in range(3)])
    kept, likeness = align(pictures, upright(1.0, ANY_DEG), threads=2)
    for index, picture in enumerate(pictures):
        seen = finder(1.0, ANY_DEG)(image=picture[None])
        np.testing.assert_allclose(kept[index].transpose(2, 0, 1) / 255, seen["aligned"][0], atol=1e-6)
        assert likeness[index] == seen["likeness"][0]


def test_aligned_parts_are_more_alike_than_they_were() -> None:
    random = np.random.default_rng(0)
    pictures = np.stack([squashed(lying(seed, turn_deg=random.uniform(-180, 180))) for seed in range(6)])
    before = likeness_as_they_are(pictures).mean()
    fitted, likeness = fit_alignment(pictures, ANY_DEG, 1.0, threads=2)
    assert likeness > 0.9 > before + 0.1
    aligned, _ = align(pictures, fitted, threads=2)
    assert likeness_as_they_are(aligned).mean() > 0.9


def test_what_already_lies_alike_stays_where_it_is() -> None:
    pose = finder(1.0, SLIGHT_DEG)(image=squashed(lying(52))[None])["pose"][0]
    np.testing.assert_allclose(pose, [1, 0, 0, 0, 1, 0], atol=0.02)


def test_a_template_is_the_same_every_time() -> None:
    pictures = np.stack([squashed(lying(seed, turn_deg=40 * seed)) for seed in range(4)])
    (one, likeness), (other, again) = (fit_alignment(pictures, ANY_DEG, 1.0, threads=2) for _ in range(2))
    assert likeness == again
    assert np.array_equal(one.template, other.template)
    assert alignment_graph(one) == alignment_graph(other)


@cache
def undoing() -> Session:
    graph = GraphBuilder()
    aligned_map = graph.input("map", np.float32, (1, 1, GRID, GRID))
    pose = graph.input("pose", np.float32, (1, 6))
    graph.output("undone", undo_nodes(graph, aligned_map, pose, GRID), (1, 1, GRID, GRID))
    return Session(graph.finish(), threads=1)


def undone(spot_yx: tuple[int, int], pose: NDArray[np.floating]) -> NDArray[np.float64]:
    """(y, x) cell where a spot of the aligned map, 3 x 3 cells, has its centre in the picture's."""
    spotted = np.zeros((1, 1, GRID, GRID), np.float32)
    y, x = spot_yx
    spotted[0, 0, y - 1 : y + 2, x - 1 : x + 2] = 1
    found = undoing()(map=spotted, pose=pose[None].astype(np.float32))["undone"][0, 0].astype(float)
    return np.array([(found.sum(axis=1 - axis) * np.arange(GRID)).sum() / found.sum() for axis in (0, 1)])


@settings(max_examples=25, deadline=None)
@given(
    turn=st.floats(-180, 180),
    right=st.floats(-15, 15),
    down=st.floats(-15, 15),
    aspect=st.sampled_from([0.75, 1.0, 1.6]),
    spot=st.tuples(st.integers(24, 40), st.integers(24, 40)),
)
def test_a_spot_goes_back_to_where_it_was(
    turn: float, right: float, down: float, aspect: float, spot: tuple[int, int]
) -> None:
    pose = true_pose(turn, right, down, aspect)
    y, x = ((cell + 0.5) / GRID * 2 - 1 for cell in spot)
    there = np.array([pose[3] * x + pose[4] * y + pose[5], pose[0] * x + pose[1] * y + pose[2]])
    np.testing.assert_allclose(undone(spot, pose), (there + 1) * GRID / 2 - 0.5, atol=1)


def test_a_hole_found_in_the_aligned_part_is_where_the_picture_has_it() -> None:
    """Alignment and its undoing, one after the other, on a part whose hole is the only dark reddish place."""
    turn, right, down, aspect = 130.0, 9.0, -6.0, 1.5
    picture = squashed(lying(53, turn_deg=turn, right_px=right, down_px=down, aspect=aspect))
    found = finder(aspect, ANY_DEG)(image=picture[None])
    dark = (found["aligned"][0].mean(axis=0) < 0.22).reshape(GRID, 4, GRID, 4).mean(axis=(1, 3)).astype(np.float32)
    back = undoing()(map=dark[None, None], pose=found["pose"])["undone"][0, 0]
    was = (picture.mean(axis=2) < 56).reshape(GRID, 4, GRID, 4).mean(axis=(1, 3))
    for axis in (0, 1):
        centers = [(each.sum(axis=1 - axis) * np.arange(GRID)).sum() / each.sum() for each in (back, was)]
        assert abs(centers[0] - centers[1]) < 1.5
