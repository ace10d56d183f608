"""Means over windows and interpolation along one axis, as matrices: one formula for arrays and graph values."""

from __future__ import annotations

import numpy as np

from relook.detection.arrays import FloatArray


def window_matrix(size: int, reach: int) -> FloatArray:
    """(size, size) whose rows take the mean of the places within reach that there are."""
    near = np.abs(np.arange(size)[:, None] - np.arange(size)) <= reach
    return np.asarray(near / near.sum(axis=1, keepdims=True), np.float32)


def interpolation_matrix(size: int, to: int) -> FloatArray:
    """(to, size), linear between the centres of cells, as `resize` has it."""
    at = np.clip((np.arange(to) + 0.5) * size / to - 0.5, 0, size - 1)
    return np.asarray(np.maximum(1 - np.abs(at[:, None] - np.arange(size)), 0), np.float32)


def weighted_window_mean(sums: FloatArray, weights: FloatArray, reach: int) -> FloatArray:
    """(height, width, k) sums over (height, width, 1) weights, as means over the windows of `window_mean` in which each
    place weighs its weight; 0 where a window has none."""
    totals = window_mean(weights, reach)
    return np.asarray(window_mean(sums, reach) / np.where(totals > 0, totals, 1), np.float32)


def window_mean(field: FloatArray, reach: int) -> FloatArray:
    """(height, width, k): means over windows of 2 reach + 1 a side, at the edges of the part that lies inside."""
    for axis in (0, 1):
        rows = window_matrix(field.shape[axis], reach)
        field = np.moveaxis(np.tensordot(rows, field, axes=(1, axis)), 0, axis)
    return field
