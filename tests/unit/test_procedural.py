"""The generated pictures that the backbone learns from (torch is not needed for them)."""

from __future__ import annotations

import numpy as np
import pytest

from backbone.procedural import NO_MATERIAL, generate, shape

SIDE = 96


@pytest.fixture(scope="module")
def scenes() -> list[tuple[np.ndarray, np.ndarray, bool]]:
    generator = np.random.default_rng(0)
    found = [generate(generator, SIDE) for _ in range(40)]
    return [(scene.pixels, scene.materials, scene.is_surface) for scene in found]


def test_the_same_generator_state_gives_the_same_scene() -> None:
    first, second = (generate(np.random.default_rng(7), SIDE) for _ in range(2))
    assert (first.pixels == second.pixels).all() and (first.materials == second.materials).all()


def test_scenes_are_pictures_with_a_material_for_every_pixel(
    scenes: list[tuple[np.ndarray, np.ndarray, bool]],
) -> None:
    for pixels, materials, _ in scenes:
        assert pixels.shape == (SIDE, SIDE, 3) and pixels.dtype == np.uint8
        assert materials.shape == (SIDE, SIDE) and materials.dtype == np.uint8


def test_scenes_differ_and_come_in_several_kinds(scenes: list[tuple[np.ndarray, np.ndarray, bool]]) -> None:
    assert len({pixels.tobytes() for pixels, _, _ in scenes}) == len(scenes)
    assert {is_surface for _, _, is_surface in scenes} == {True, False}
    assert any((materials == NO_MATERIAL).all() for _, materials, _ in scenes)
    assert any(materials.max() > 0 and materials.max() < NO_MATERIAL for _, materials, _ in scenes)


def test_a_surface_is_of_one_material(scenes: list[tuple[np.ndarray, np.ndarray, bool]]) -> None:
    for _, materials, is_surface in scenes:
        if is_surface:
            assert (materials == 0).all()


def test_shapes_cover_something_between_nothing_and_all() -> None:
    generator = np.random.default_rng(1)
    covers = [shape(generator, SIDE, 12) for _ in range(30)]
    assert all(cover.min() >= 0 and cover.max() <= 1 for cover in covers)
    assert np.median([cover.sum() for cover in covers]) > 10
