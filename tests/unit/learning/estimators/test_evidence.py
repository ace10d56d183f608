"""Maps on the scale of normal ones, none of which is measured by itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from relook.learning.estimators.evidence import standardised, usual_scale

GRID = 64


def some_maps(count: int) -> NDArray[np.float32]:
    """Rougher to the right, higher to the bottom."""
    random = np.random.default_rng(4)
    rough = np.linspace(0.7, 2, GRID)
    return (np.linspace(-1, 1, GRID)[:, None] + rough * random.normal(0, 1, (count, GRID, GRID))).astype(np.float32)


MAPS = some_maps(9)
ANOMALOUS = np.array([False, True, False, False, True, False, False, False, False])


def test_normal_maps_come_out_about_zero_and_one() -> None:
    found, _ = standardised(some_maps(40), np.zeros(40, bool))
    assert np.abs(found.mean(axis=0)).mean() < 0.2
    for third in np.array_split(found, 3, axis=2):
        assert third.std() == pytest.approx(1, abs=0.1)


def test_anomalies_are_measured_by_all_normal_maps() -> None:
    found, scale = standardised(MAPS, ANOMALOUS)
    expected = usual_scale(MAPS[~ANOMALOUS])
    np.testing.assert_array_equal(scale.center, expected.center)
    np.testing.assert_array_equal(scale.spread, expected.spread)
    np.testing.assert_allclose(found[ANOMALOUS], (MAPS[ANOMALOUS] - scale.center) / scale.spread, rtol=1e-5, atol=1e-6)


def test_a_normal_map_is_measured_by_the_other_ones() -> None:
    found, _ = standardised(MAPS, ANOMALOUS)
    for index in np.flatnonzero(~ANOMALOUS):
        others = usual_scale(MAPS[~ANOMALOUS & (np.arange(len(MAPS)) != index)])
        expected = (MAPS[index] - others.center) / others.spread
        np.testing.assert_allclose(found[index], expected, rtol=1e-3, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-20, 20), index=st.sampled_from(np.flatnonzero(~ANOMALOUS).tolist()))
def test_how_odd_a_map_looks_does_not_depend_on_its_part_in_the_scale(shift: float, index: int) -> None:
    """A map moved by any amount moves by just that much on the scale of the others."""
    moved = MAPS.copy()
    moved[index] += np.float32(shift)
    before, after = (standardised(maps, ANOMALOUS)[0][index] for maps in (MAPS, moved))
    others = usual_scale(MAPS[~ANOMALOUS & (np.arange(len(MAPS)) != index)])
    np.testing.assert_allclose(after - before, np.float32(shift) / others.spread, rtol=1e-2, atol=1e-2)


def test_an_anomaly_changes_nothing_for_the_others() -> None:
    odd = MAPS.copy()
    odd[1] += 100
    before, after = (standardised(maps, ANOMALOUS)[0] for maps in (MAPS, odd))
    rest = np.arange(len(MAPS)) != 1
    np.testing.assert_array_equal(before[rest], after[rest])


def test_places_that_never_differ_have_a_spread_all_the_same() -> None:
    maps = MAPS[:5].copy()
    maps[:, :, :32] = 0.5
    scale = usual_scale(maps)
    assert scale.spread.min() >= 0.4 * np.median(scale.spread)
    assert usual_scale(np.ones((3, GRID, GRID), np.float32)).spread.min() > 0
