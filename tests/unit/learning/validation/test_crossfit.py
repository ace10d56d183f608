"""What models say of held-back images: no image has a hand in what is said of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from relook.learning.estimators import normality
from relook.learning.estimators.evidence import average_map, image_score
from relook.learning.estimators.looks import log_maps
from relook.learning.estimators.normality import CellSums, Grid, fit_gaussians
from relook.learning.recipe import Recipe
from relook.learning.validation import crossfit
from relook.learning.validation.crossfit import Features, HeldBack, columns_of, hold_back

GRIDS = [Grid(6, 8, 2), Grid(12, 16, 2)]
CHANNELS = 6
RECIPE = Recipe(dimensions=4)
NORMALS, ANOMALIES, COPIES = 12, 4, 12
ODD = 10.0


def some_features(seed: int = 0) -> Features:
    """Twelve normal images, four whose middle is odd, and a copy of each normal one."""
    random = np.random.default_rng(seed)
    looks = []
    for grid in GRIDS:
        place = np.random.default_rng(99).normal(0, 2, (grid.cells, CHANNELS))
        values = place + random.normal(0, 1, (NORMALS + ANOMALIES, grid.cells, CHANNELS))
        values[NORMALS:, grid.cells // 2 + grid.width // 2] += ODD
        copies = values[:NORMALS] + random.normal(0, 0.3, (COPIES, grid.cells, CHANNELS))
        looks.append(np.concatenate([values, copies]).astype(np.float16))
    count = NORMALS + ANOMALIES
    folds = np.arange(count) % 4
    is_normal = np.arange(count) < NORMALS
    return Features(
        looks=looks,
        grids=GRIDS,
        is_normal=np.concatenate([is_normal, np.ones(COPIES, bool)]),
        folds=np.concatenate([folds, folds[:NORMALS]]),
        count=count,
    )


def held(features: Features, recipe: Recipe = RECIPE) -> HeldBack:
    return hold_back(features, recipe, np.random.default_rng(0), lambda *_: None)


def test_every_image_is_judged_by_what_was_fitted_without_its_fold() -> None:
    """Against fitting anew for every fold, without any subtraction."""
    features, recipe = some_features(), replace(RECIPE, memory=False, place_scales=False)
    actual = held(features, recipe)
    for look, maps, values in zip(actual.looks, actual.maps, features.looks, strict=True):
        whitened = look.whitening(values.astype(np.float32))
        logs = np.empty((features.count, look.grid.height, look.grid.width))
        for fold in range(4):
            known = features.is_normal & (features.folds != fold)
            gaussians = fit_gaussians(CellSums.of(whitened[known], look.grid), look.grid)
            some = np.flatnonzero(features.folds[: features.count] == fold)
            (logs[some],) = log_maps(values[some].astype(np.float32), whitened[some], gaussians, None)
        (scale,) = look.scales
        np.testing.assert_allclose(maps, scale(logs), rtol=1e-2, atol=1e-2)


def test_the_average_and_the_score_are_those_of_all_maps_of_all_looks() -> None:
    actual = held(some_features())
    assert [each.shape[1:] for each in actual.maps] == [(6, 8), (6, 8), (12, 16), (12, 16)]
    np.testing.assert_allclose(actual.average, average_map(actual.maps), atol=1e-6)
    np.testing.assert_allclose(actual.one_class, image_score(actual.average), atol=1e-6)
    assert actual.one_class[NORMALS:].min() > actual.one_class[:NORMALS].max()
    y, x = np.unravel_index(actual.average[NORMALS].argmax(), (12, 16))
    assert abs(y - 6) <= 1 and abs(x - 8) <= 1


def test_copies_are_learnt_from_but_not_judged() -> None:
    features = some_features()
    actual = held(features)
    assert len(actual.one_class) == len(actual.whitened) == features.count
    alone = replace(
        features,
        looks=[each[: features.count] for each in features.looks],
        is_normal=features.is_normal[: features.count],
        folds=features.folds[: features.count],
    )
    assert not np.allclose(held(alone).maps[0], actual.maps[0])


@pytest.mark.parametrize("has_memory", [True, False])
def test_an_odd_fold_does_not_teach_what_is_said_of_it(has_memory: bool) -> None:
    """A defect in every normal image of one fold, and in their copies, stays odd: nobody else has it."""
    features, recipe = some_features(), replace(RECIPE, memory=has_memory, place_scales=False)
    before = held(features, recipe)
    spoiled = [each.copy() for each in features.looks]
    of_fold = features.is_normal & (features.folds == 1)
    for look in spoiled:
        look[of_fold, 20] += 40
    after = held(replace(features, looks=spoiled), recipe)
    mine = np.flatnonzero(of_fold[:NORMALS])
    assert (after.maps[0].reshape(-1, 48)[mine, 20] > before.maps[0].reshape(-1, 48)[mine, 20] + 1.5).all()


def test_anomalies_teach_nothing() -> None:
    features = some_features()
    spoiled = [each.copy() for each in features.looks]
    for look in spoiled:
        look[NORMALS : NORMALS + 2] *= 3
    before, after = held(features), held(replace(features, looks=spoiled))
    others = np.setdiff1d(np.arange(features.count), [NORMALS, NORMALS + 1])
    for one, other in zip(before.maps, after.maps, strict=True):
        np.testing.assert_array_equal(one[others], other[others])
    np.testing.assert_array_equal(before.looks[0].gaussians.root, after.looks[0].gaussians.root)


def test_one_odd_normal_image_does_not_widen_the_scale_of_the_others() -> None:
    features = some_features()
    spoiled = [each.copy() for each in features.looks]
    for look in spoiled:
        look[3] += np.float16(60)
    # With copies of it out of the way, only its own map can do harm
    kept = np.arange(len(features.is_normal)) != features.count + 3
    looks = [each[kept] for each in spoiled]
    odd = replace(features, looks=looks, is_normal=features.is_normal[kept], folds=features.folds[kept])
    actual = held(odd)
    for fitted in actual.looks:
        for scale in fitted.scales:
            assert scale.spread.max() < 1
    rest = np.delete(actual.one_class[:NORMALS], 3)
    assert actual.one_class[3] > rest.max() + 5


def test_a_memory_is_of_the_images_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    features = some_features()
    seen: list[set[int]] = []
    fit = normality.fit_memory

    def watched(look: NDArray[np.float16], images: NDArray[np.intp], *rest: NDArray[np.float32]) -> normality.Memory:
        seen.append(set(images.tolist()))
        return fit(look, images, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(crossfit, "fit_memory", watched)
    held(replace(features, looks=features.looks[:1], grids=GRIDS[:1]))
    *rounds, everything = seen
    assert everything == set(range(NORMALS))
    assert [everything - each for each in rounds] == [{i for i in range(NORMALS) if i % 4 == fold} for fold in range(4)]


def test_progress_is_told_and_the_same_seed_gives_the_same() -> None:
    steps: list[tuple[str, int, int]] = []
    features = some_features()
    one = hold_back(features, RECIPE, np.random.default_rng(3), lambda *step: steps.append(step))
    other = hold_back(features, RECIPE, np.random.default_rng(3), lambda *_: None)
    assert [(done, total) for _, done, total in steps] == [(1, 4), (2, 4), (3, 4), (4, 4)] * 2
    np.testing.assert_array_equal(one.one_class, other.one_class)


def test_columns_are_side_by_side() -> None:
    columns, groups = columns_of([np.zeros((4, 3), np.float32), np.ones((4, 2), np.float32)])
    assert (columns.shape, groups) == ((4, 5), [3, 2])
