"""From maps to the few numbers of an image that a verdict is made of. Formulas take arrays and graph values alike."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.learning.estimators.looks import Scale, enlarged, leveled
from relook.learning.estimators.normality import Grid
from relook.learning.estimators.resampling import weighted_window_mean
from relook.learning.graph.xp import ArrayT, xp

RING = 1
"""Outermost cells that do not count: half of what they see is the padding. With them, AUROC fell by .002 to .005."""
EMBEDDING_GRID = 4  # fields a side: they tell how a part lies, and are small enough to keep for each normal image
_MIN_SPREAD = 0.03
"""Of log maps: distances that differ by 3 % do not differ."""
_PLACE_REACH = (1, 2)  # cells around a place that tell its center and its spread, which takes more values to tell
_ODD_RATIO = 4.0  # of the median square: twice as far away as usual
_NEGLIGIBLE = 0.01  # a tenth of a log map, squared: among normals that are all alike none is odd


def average_map(maps: Sequence[ArrayT], kept: ArrayT | None = None) -> ArrayT:
    """(n, height, width) of the finest: the mean of all maps of all looks, as `leveled`."""
    height, width = max((each.shape[1:] for each in maps), key=lambda size: size[0] * size[1])
    total = enlarged(maps[0], height, width)
    for each in maps[1:]:
        total = total + enlarged(each, height, width)
    return leveled(total / float(len(maps)), kept)


def image_score(average: ArrayT) -> ArrayT:
    """(n,): the oddest place."""
    return xp.max(average[:, RING:-RING, RING:-RING], (1, 2))


def evidence(average: ArrayT, maps: Sequence[ArrayT], whitened: ArrayT, grid: Grid) -> list[ArrayT]:
    """Groups of columns for the classifier.

    Args:
        maps: of all looks; `whitened`: (n, cells, d) of the first look, over `grid`.
    Returns:
        (n, 3 (maps + 1)) maximum, mean and spread of each map; then (n, d) features where the image looks odd.
    """
    statistics: list[ArrayT] = [_statistics(average)]
    for each in maps:
        statistics.append(_statistics(each))
    odd = average_map([each for each in maps if each.shape[1:] == (grid.height, grid.width)])
    flat = xp.reshape(odd, (odd.shape[0], 1, grid.cells))
    share = xp.exp(flat - xp.max(flat, 2, keepdims=True))
    share = share / xp.sum(share, 2, keepdims=True)
    hot = xp.reshape(share @ whitened, (whitened.shape[0], whitened.shape[2]))
    return [signed_log(xp.concatenate(statistics, 1)), hot]


def _statistics(each: ArrayT) -> ArrayT:
    """(n, 3): maximum, mean and spread of (n, height, width) maps."""
    summary: ArrayT = xp.stack([xp.max(each, (1, 2)), xp.mean(each, (1, 2)), xp.std(each, (1, 2))], 1)
    return summary


def signed_log(x: ArrayT) -> ArrayT:
    """log(1 + |x|) with the sign of x: how odd an image is matters, by how many thousand times does not."""
    signed: ArrayT = xp.sign(x) * xp.log(1.0 + xp.abs(x))
    return signed


def embedding(whitened: ArrayT, grid: Grid) -> ArrayT:
    """(n, 16 d): features averaged over 4 x 4 fields, to compare images with."""
    places = xp.reshape(whitened, (whitened.shape[0], grid.height, grid.width, whitened.shape[2]))
    parts: list[ArrayT] = []
    for top, bottom in _fields(grid.height):
        for left, right in _fields(grid.width):
            field: ArrayT = places[:, top:bottom, left:right]
            parts.append(xp.mean(field, (1, 2)))
    return xp.concatenate(parts, 1)


def nearest(embedded: ArrayT, normals: FloatArray) -> tuple[ArrayT, ArrayT]:
    """(1,) which of (n, 16 d) normal images is most like one, and its root mean squared distance."""
    apart: ArrayT = embedded - normals
    distance = xp.sqrt(xp.mean(xp.square(apart), 1))
    return xp.argmin(distance, 0, keepdims=True), xp.min(distance, 0, keepdims=True)


def _fields(size: int) -> list[tuple[int, int]]:
    return list(pairwise(np.linspace(0, size, EMBEDDING_GRID + 1).round().astype(int).tolist()))


def fit_scale(
    maps: FloatArray, is_usual: NDArray[np.bool_], *, by_place: bool, kept: FloatArray | None = None
) -> Scale:
    """What (n, height, width) log maps of normal images are at each place, or anywhere; told by the usual ones.

    Args:
        kept: as the maps, 0 where a place is ignored; all are kept unless given.
    """
    moments = _moments(maps, kept)[:, is_usual].sum(axis=1)
    if not by_place:
        moments = np.broadcast_to(moments.mean(axis=(1, 2), keepdims=True), moments.shape)
    return _place_scale(moments)


def held_back_scaled(maps: FloatArray, is_usual: NDArray[np.bool_], kept: FloatArray | None = None) -> FloatArray:
    """Maps of normal images, each measured by the others, for it would look too usual beside itself."""
    moments = _moments(maps, kept)
    total = moments[:, is_usual].sum(axis=1)
    scaled = _place_scale(total)(maps)
    for number in np.flatnonzero(is_usual):
        scaled[number] = _place_scale(total - moments[:, number])(maps[number])
    return scaled


def usual(maps: FloatArray, kept: FloatArray | None = None) -> NDArray[np.bool_]:
    """(n,) which normal maps say what is usual: one badly framed picture would hide real anomalies."""
    squares = (maps - np.median(maps, axis=0)) ** 2
    away = (squares if kept is None else squares * kept).mean(axis=(1, 2))
    return np.asarray(away <= _ODD_RATIO * np.median(away) + _NEGLIGIBLE)


def _moments(maps: FloatArray, kept: FloatArray | None) -> FloatArray:
    """(3, n, height, width): ones, values and squares, 0 where a place is ignored."""
    moments = np.stack([np.ones_like(maps), maps, maps**2])
    return moments if kept is None else moments * kept


def _place_scale(moments: FloatArray) -> Scale:
    """Of (3, height, width) sums of ones, values and squares."""
    count, total, squares = moments[..., None]
    deviations = np.maximum(squares - total**2 / np.maximum(count, 1), 0)
    variance = weighted_window_mean(deviations, count, _PLACE_REACH[1])[..., 0]
    center = weighted_window_mean(total, count, _PLACE_REACH[0])[..., 0]
    return Scale(center, np.sqrt(variance) + np.float32(_MIN_SPREAD))
