"""Looks: canvas to features on a grid, and features to maps on the scale of normal images."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import FloatArray
from relook.detection.session import Session
from relook.learning.backbone.efficientnet_lite import pretrained
from relook.learning.estimators import looks
from relook.learning.estimators.looks import CELL_PX, FeatureExtractor, Look, Scale, enlarged, leveled, log_maps
from relook.learning.estimators.normality import (
    CellSums,
    Grid,
    Memory,
    fit_gaussians,
    fit_memory,
    fit_whitening,
)
from relook.learning.extraction import features_session
from relook.learning.graph.builder import Graph
from tests.unit.foreign import quick_backbone
from tests.unit.learning.graph.running import run

GRID = Grid(6, 8, 2)
CHANNELS, DIMENSIONS = 7, 4


def some_features(count: int, seed: int = 0) -> FloatArray:
    """(n, cells, channels), another mean at every place."""
    place = np.random.default_rng(99).normal(0, 2, (GRID.cells, CHANNELS))
    return np.asarray(place + np.random.default_rng(seed).normal(0, 1, (count, GRID.cells, CHANNELS)), np.float32)


def some_look(*, has_memory: bool = True) -> Look:
    random = np.random.default_rng(1)
    features = some_features(9)
    whitening = fit_whitening(features.reshape(-1, CHANNELS), DIMENSIONS)
    memory = None
    if has_memory:
        spread = features.reshape(-1, CHANNELS).std(axis=0)
        memory = fit_memory(features.astype(np.float16), np.arange(9), spread, random)
    scales = tuple(
        Scale(
            random.normal(0, 0.3, (6, 8)).astype(np.float32),
            random.uniform(0.1, 0.6, (6, 8)).astype(np.float32),
        )
        for _ in range(2 if has_memory else 1)
    )
    return Look(GRID, whitening, fit_gaussians(CellSums.of(whitening(features), GRID), GRID), memory, scales)


def smoothed(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Means over 3 x 3, at the edges of what is inside."""
    actual = np.empty(values.shape)
    for y, x in np.ndindex(values.shape):
        actual[y, x] = values[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean()
    return actual


@pytest.mark.parametrize("has_memory", [True, False])
def test_maps_are_smoothed_logarithms_on_the_scale_of_normal_images(has_memory: bool) -> None:
    look, query = some_look(has_memory=has_memory), some_features(2, seed=5)

    actual = look.maps(query)

    distances = [look.gaussians(look.whitening(query))]
    if look.memory:
        distances.append(look.memory(query).reshape(2, 6, 8))
    assert len(actual) == len(distances)
    for ours, distance, scale in zip(actual, distances, look.scales, strict=True):
        for image in range(2):
            expected = (smoothed(np.log(distance[image] + looks._LOG_FLOOR)) - scale.center) / scale.spread
            np.testing.assert_allclose(ours[image], expected, rtol=1e-3, atol=1e-3)
    for place, ours in enumerate(actual):
        np.testing.assert_allclose(run(lambda x, p=place: look.maps(x)[p], query), ours, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(run(look.whitened, query), look.whitened(query), rtol=1e-4, atol=1e-4)


def test_at_half_precision_maps_hardly_change() -> None:
    look, query = some_look(), some_features(2, seed=5)
    half = look.at_half_precision()
    for place, full in enumerate(look.maps(query)):
        np.testing.assert_allclose(run(lambda x, p=place: half.maps(x)[p], query), full, atol=0.02)


def test_one_odd_cell_shows_in_both_maps_and_nowhere_else() -> None:
    look, query = some_look(), some_features(1)
    clean = look.maps(query)
    query[0, 3 * 8 + 4] += 30
    for before, after in zip(clean, look.maps(query), strict=True):
        changed = np.abs(after - before)[0] > 1e-3
        assert changed[2:5, 3:6].all()
        assert changed.sum() == 9
        assert (after >= before - 1e-3).all()


def test_cells_that_are_ignored_say_nothing_and_their_neighbours_all_they_know() -> None:
    look, query = some_look(), some_features(2, seed=5)
    kept = np.ones((2, 6, 8), np.float32)
    kept[0, 1:4, 2:5] = kept[1, 0, 0] = 0

    actual = look.maps(query, kept)

    distances = [look.gaussians(look.whitening(query)), look.memory(query).reshape(2, 6, 8)] if look.memory else []
    for ours, distance, scale in zip(actual, distances, look.scales, strict=True):
        for image in range(2):
            ignored = kept[image] == 0
            logs = np.ma.masked_array(np.log(distance[image] + looks._LOG_FLOOR), ignored)
            means = np.zeros((6, 8))
            for y, x in np.argwhere(~ignored):
                means[y, x] = logs[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean()
            expected = (means - scale.center) / scale.spread
            np.testing.assert_allclose(ours[image][~ignored], expected[~ignored], rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(ours[image][ignored], expected[~ignored].mean(), rtol=1e-3, atol=1e-3)
    for place, ours in enumerate(actual):
        graph = run(lambda x, k, p=place: look.maps(x, k)[p], query, kept)
        np.testing.assert_allclose(graph, ours, rtol=1e-4, atol=1e-4)
    query[0, 2 * 8 + 3] += 100
    for before, after in zip(actual, look.maps(query, kept), strict=True):
        np.testing.assert_array_equal(before, after)
    assert (look.whitened(query, kept).reshape(2, 6, 8, -1)[kept == 0] == 0).all()


def test_an_image_that_is_more_usual_than_usual_has_no_peak_where_it_is_ignored() -> None:
    maps = np.full((1, 4, 4), -3, np.float32)
    maps[0, 0, 0], kept = 7, np.ones((1, 4, 4), np.float32)
    kept[0, 0, 0] = 0
    assert leveled(maps, kept).tolist() == np.full((1, 4, 4), -3).tolist()
    assert np.isfinite(leveled(maps, np.zeros_like(maps))).all(), "of an image that is ignored altogether"


def test_without_a_memory_there_is_one_map() -> None:
    look = some_look(has_memory=False)
    query = some_features(2)
    assert len(log_maps(query, look.whitening(query), look.gaussians, None)) == 1


@pytest.mark.parametrize(("size", "to"), [((4, 6), (8, 24)), ((5, 3), (7, 3)), ((3, 3), (3, 3)), ((1, 2), (2, 4))])
def test_a_map_is_enlarged_as_pillow_enlarges(size: tuple[int, int], to: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(0, 1, (2, *size)).astype(np.float32)
    actual = enlarged(values, *to)
    for image in range(2):
        expected = Image.fromarray(values[image]).resize(to[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_allclose(actual[image], np.asarray(expected), atol=1e-5)
    np.testing.assert_allclose(run(lambda x: enlarged(x, *to), values), actual, atol=1e-5)


@pytest.mark.parametrize(
    ("canvas", "factor"), [((256, 256), 1), ((160, 416), 1), ((64, 1024), 2), ((64, 64), 1), ((256, 256), 8)]
)
def test_grids_cover_their_canvas_with_blocks_that_divide_them(canvas: tuple[int, int], factor: int) -> None:
    extractor = FeatureExtractor(quick_backbone(), canvas, factor)
    assert extractor.finest == (canvas[0] * factor, canvas[1] * factor)
    assert len(extractor.grids) == (1 if factor == 1 else 2)
    first = extractor.grids[0]
    assert (first.height, first.width) == (canvas[0] // CELL_PX, canvas[1] // CELL_PX)
    for grid in extractor.grids:
        assert grid.height % grid.block == grid.width % grid.block == 0
        assert grid.count <= 768, "covariances are what a package weighs"
    for coarse, fine in pairwise(extractor.grids):
        assert (fine.height, fine.width) == (coarse.height * factor // 2, coarse.width * factor // 2)


def mean_filtered(x: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.stack([smoothed(each) for each in x])


@pytest.mark.parametrize("factor", [1, 2])
def test_features_are_the_backbones_maps_on_one_grid(factor: int) -> None:
    """Each is averaged over 3 x 3 cells; finer ones are averaged down to the grid, coarser ones interpolated."""
    extractor = FeatureExtractor(pretrained(), (64, 96), factor)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *extractor.finest, 3), np.uint8)

    actual = list(features_session(extractor)(image=pixels).values())

    assert [each.shape for each in actual] == [(1, grid.cells, 24 + 40 + 112) for grid in extractor.grids]
    image = pixels[0].astype(np.float32).transpose(2, 0, 1)
    small = image.reshape(3, 64, factor, 96, factor).mean(axis=(2, 4))
    for ours, grid, seen in zip(actual, extractor.grids, (small, image)[: len(actual)], strict=True):
        graph = Graph()
        for number, each in enumerate(extractor.backbone.maps(graph.input("image", np.float32, (1, *seen.shape)))):
            graph.output(str(number), each)
        parts = []
        for seen_map in Session(graph.finish(), threads=1)(image=seen[None].astype(np.float32)).values():
            fine = mean_filtered(seen_map[0])
            step = fine.shape[1] // grid.height
            if step > 1:
                fine = fine.reshape(len(fine), grid.height, step, grid.width, step).mean(axis=(2, 4))
            parts.append(enlarged(fine.astype(np.float32), grid.height, grid.width))
        expected = np.concatenate(parts).reshape(-1, grid.cells).T
        np.testing.assert_allclose(ours[0], expected, rtol=1e-3, atol=1e-3)


def test_maps_of_a_backbone_of_ones_own_are_brought_to_the_grid_too() -> None:
    """Whatever its sides are."""
    extractor = FeatureExtractor(quick_backbone(), (64, 96), 1)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), np.uint8)
    (actual,) = features_session(extractor)(image=pixels).values()
    assert actual.shape == (1, 8 * 12, 8 + 12)
    assert np.isfinite(actual).all() and actual.std() > 0


def test_a_memory_of_nothing_but_itself_is_at_distance_zero() -> None:
    spread = np.ones(CHANNELS, np.float32)
    features = some_features(1)
    np.testing.assert_allclose(Memory(spread, features[0])(features), 0, atol=2e-3)
