"""What an image's maps come down to, and maps on the scale of normal ones, none of which is measured by itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.estimators import evidence as module
from relook.learning.estimators.evidence import (
    RING,
    average_map,
    embedding,
    evidence,
    fit_scale,
    held_back_scaled,
    image_score,
    nearest,
    signed_log,
    usual,
)
from relook.learning.estimators.looks import enlarged
from relook.learning.estimators.normality import Grid
from tests.unit.learning.graph.running import run

GRID = Grid(8, 12, 2)
SIDE = 16
D = 5
REACHES = module._PLACE_REACH


def some_maps(count: int, height: int = SIDE, width: int = SIDE) -> FloatArray:
    """Rougher to the right, higher to the bottom."""
    random = np.random.default_rng(4)
    rough = np.linspace(0.7, 2, width)
    return np.asarray(
        np.linspace(-1, 1, height)[:, None] + rough * random.normal(0, 1, (count, height, width)), np.float32
    )


def some_whitened(count: int, seed: int = 0) -> FloatArray:
    return np.random.default_rng(seed).normal(0, 1, (count, GRID.cells, D)).astype(np.float32)


@pytest.mark.parametrize("formula", [average_map, lambda maps: image_score(average_map(maps))])
def test_all_maps_of_all_looks_count_alike(formula: Callable[..., FloatArray]) -> None:
    coarse, fine = some_maps(2, 8, 12), some_maps(3, 16, 24)[1:]
    actual = average_map([coarse, coarse + 1, fine])
    expected = (enlarged(coarse, 16, 24) * 2 + 1 + fine) / 3
    np.testing.assert_allclose(actual, expected, atol=1e-5)
    np.testing.assert_allclose(
        run(lambda x, y: formula([x, x + 1, y]), coarse, fine),
        formula([coarse, coarse + 1, fine]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_score_is_the_oddest_place_but_those_at_the_very_edge() -> None:
    maps = np.zeros((2, 8, 12), np.float32)
    maps[0, 5, 7], maps[1, 0, 3], maps[1, 4, 11] = 9, 50, 50
    assert image_score(maps).tolist() == [9, 0]
    maps[1, RING, RING] = 3
    assert image_score(maps)[1] == 3


def slow_evidence(average: FloatArray, maps: list[FloatArray], whitened: FloatArray) -> list[NDArray[np.float64]]:
    """Of one image."""
    statistics = [f(each.astype(float)) for each in (average, *maps) for f in (np.max, np.mean, np.std)]
    odd = np.mean([each for each in maps if each.shape == (GRID.height, GRID.width)], axis=0).ravel().astype(float)
    share = np.exp(odd) / np.exp(odd).sum()
    cells = whitened.astype(float)
    hot = np.sum([weight * cell for weight, cell in zip(share, cells, strict=True)], axis=0)
    logarithm = [np.copysign(np.log(1 + abs(value)), value) for value in statistics]
    return [np.array(logarithm), hot]


def test_evidence_is_statistics_of_maps_and_features_where_it_looks_odd() -> None:
    maps = [some_maps(2, 8, 12), some_maps(4, 8, 12)[2:], some_maps(2, 16, 24)]
    average, whitened = average_map(maps), some_whitened(2)

    actual = evidence(average, maps, whitened, GRID)

    assert [each.shape for each in actual] == [(2, 12), (2, D)]
    for image in range(2):
        expected = slow_evidence(average[image], [each[image] for each in maps], whitened[image])
        for ours, theirs in zip(actual, expected, strict=True):
            np.testing.assert_allclose(ours[image], theirs, rtol=1e-3, atol=1e-4)
    for group, ours in enumerate(actual):
        graph = run(lambda a, w, *m, g=group: evidence(a, m, w, GRID)[g], average, whitened, *maps)
        np.testing.assert_allclose(graph, ours, rtol=1e-4, atol=1e-4)


def test_signed_logarithms_keep_order_and_sign() -> None:
    values = np.array([-1000, -1, 0, 1e-3, 5, 1e6], np.float32)
    actual = signed_log(values)
    assert (np.diff(actual) > 0).all() and actual[2] == 0
    np.testing.assert_allclose(actual, np.sign(values) * np.log1p(np.abs(values)), rtol=1e-3)
    np.testing.assert_allclose(run(signed_log, values), actual, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("grid", [GRID, Grid(6, 9, 1), Grid(4, 4, 1)])
def test_an_embedding_is_means_over_four_by_four_fields(grid: Grid) -> None:
    cells = np.random.default_rng(0).normal(0, 1, (3, grid.cells, D)).astype(np.float32)
    actual = embedding(cells, grid)
    fields = cells.reshape(3, grid.height, grid.width, D)
    rows, columns = (np.array_split(np.arange(size), 4) for size in (grid.height, grid.width))
    assert actual.shape == (3, 16 * D)
    if grid.height % 4 == grid.width % 4 == 0:
        expected = [fields[:, r][:, :, c].mean(axis=(1, 2)) for r in rows for c in columns]
        np.testing.assert_allclose(actual, np.concatenate(expected, axis=1), atol=1e-5)
    np.testing.assert_allclose(run(partial(embedding, grid=grid), cells), actual, atol=1e-5)


def test_the_nearest_normal_image_is_the_very_picture() -> None:
    cells = some_whitened(6) * np.linspace(0.5, 2, 6, dtype=np.float32)[:, None, None]
    stored = embedding(cells, GRID)
    for index in range(6):
        number, distance = nearest(stored[index : index + 1], stored)
        assert int(number[0]) == index
        assert float(distance[0]) == pytest.approx(0, abs=1e-4)
    query = embedding(some_whitened(1, seed=5), GRID)
    apart = np.sqrt(((stored - query) ** 2).mean(axis=1))
    for place, expected in enumerate((apart.argmin(), apart.min())):
        assert nearest(query, stored)[place] == pytest.approx([expected], rel=1e-5)
        actual = run(lambda x, p=place: nearest(x, stored)[p].astype(np.float32), query)
        assert actual == pytest.approx([expected], rel=1e-4)


def windowed(field: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    actual = np.empty_like(field)
    for y, x in np.ndindex(field.shape):
        actual[y, x] = field[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1].mean()
    return actual


@pytest.mark.parametrize("by_place", [True, False])
def test_the_scale_of_a_place_is_that_of_its_neighbours(by_place: bool) -> None:
    maps, is_usual = some_maps(9), np.arange(9) != 4
    scale = fit_scale(maps, is_usual, by_place=by_place)
    wide = maps[is_usual].astype(float)
    mean, variance = wide.mean(axis=0), wide.var(axis=0)
    if not by_place:
        mean, variance = np.full((SIDE, SIDE), wide.mean()), np.full((SIDE, SIDE), wide.var())
    np.testing.assert_allclose(scale.center, windowed(mean, REACHES[0]), atol=1e-4)
    expected = np.sqrt(windowed(variance, REACHES[1])) + module._MIN_SPREAD
    np.testing.assert_allclose(scale.spread, expected, rtol=1e-3)
    np.testing.assert_allclose(run(scale, maps), scale(maps), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("by_place", [True, False])
def test_a_place_s_scale_is_told_by_the_images_that_show_it(by_place: bool) -> None:
    maps, is_usual = some_maps(9), np.arange(9) != 4
    kept = (np.random.default_rng(1).random(maps.shape) < 0.7).astype(np.float32)
    kept[:, :3, :3] = 0
    wild = np.where(kept > 0, maps, np.float32(100))

    scale = fit_scale(wild, is_usual, by_place=by_place, kept=kept)

    shown = np.ma.masked_array(maps.astype(float), kept == 0)[is_usual]
    if by_place:
        deviations = (shown - shown.mean(axis=0)) ** 2
        for y, x in ((8, 8), (3, 3), (15, 0)):
            near, wide = (np.s_[:, max(y - r, 0) : y + r + 1, max(x - r, 0) : x + r + 1] for r in REACHES)
            assert scale.center[y, x] == pytest.approx(shown[near].mean(), abs=1e-4)
            expected = np.sqrt(deviations[wide].mean()) + module._MIN_SPREAD
            assert scale.spread[y, x] == pytest.approx(expected, rel=1e-3)
    else:
        np.testing.assert_allclose(scale.center, shown.mean(), atol=1e-4)
        np.testing.assert_allclose(scale.spread, shown.std() + module._MIN_SPREAD, rtol=1e-3)
    actual = held_back_scaled(wild, is_usual, kept)[2]
    others = fit_scale(wild, is_usual & (np.arange(9) != 2), by_place=True, kept=kept)
    np.testing.assert_allclose(actual, others(wild[2]), rtol=1e-3, atol=1e-2)
    assert np.isfinite(actual).all()


def test_an_image_is_no_less_usual_for_what_is_ignored() -> None:
    odd, kept = MAPS.copy(), np.ones_like(MAPS)
    odd[4, 3:9, 3:9], kept[4, 3:9, 3:9] = 100, 0
    assert usual(odd, kept).all()
    assert not usual(odd)[4]


MAPS = some_maps(9)
USUAL = np.arange(9) != 4


def test_normal_maps_come_out_about_zero_and_one() -> None:
    actual = held_back_scaled(some_maps(40), np.ones(40, bool))
    assert np.abs(actual.mean(axis=0)).mean() < 0.3
    for third in np.array_split(actual, 3, axis=2):
        assert third.std() == pytest.approx(1, abs=0.2)


def test_a_normal_map_is_measured_by_the_other_ones() -> None:
    actual = held_back_scaled(MAPS, USUAL)
    for index in range(9):
        others = fit_scale(MAPS, USUAL & (np.arange(9) != index), by_place=True)
        np.testing.assert_allclose(actual[index], others(MAPS[index]), rtol=1e-3, atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-20, 20), index=st.integers(0, 8))
def test_how_odd_a_map_looks_does_not_depend_on_its_part_in_the_scale(shift: float, index: int) -> None:
    """A map moved by any amount moves by just that much on the scale of the others."""
    moved = MAPS.copy()
    moved[index] += np.float32(shift)
    before, after = (held_back_scaled(maps, USUAL)[index] for maps in (MAPS, moved))
    others = fit_scale(MAPS, USUAL & (np.arange(9) != index), by_place=True)
    np.testing.assert_allclose(after - before, np.float32(shift) / others.spread, rtol=1e-2, atol=1e-2)


def test_an_odd_normal_image_does_not_say_what_is_usual() -> None:
    odd = MAPS.copy()
    odd[4, 3:9, 3:9] += 100
    is_usual = usual(odd)
    assert is_usual.tolist() == USUAL.tolist()
    before, after = (held_back_scaled(maps, is_usual) for maps in (MAPS, odd))
    np.testing.assert_array_equal(before[USUAL], after[USUAL])
    assert after[4].max() > before[4].max() + 20


def test_equal_images_are_all_usual_and_places_that_never_differ_have_a_spread_all_the_same() -> None:
    still = np.ones((5, SIDE, SIDE), np.float32)
    assert usual(still).all()
    assert usual(still + np.linspace(0, 0.05, 5, dtype=np.float32)[:, None, None]).all()
    assert fit_scale(still, usual(still), by_place=True).spread.min() > 0
    assert np.isfinite(held_back_scaled(still, usual(still))).all()
