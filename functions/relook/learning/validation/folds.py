"""Which images are held back together when a model is checked on its own training images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import ByteArray, FloatArray

MAX_FOLDS = 8  # more would cost as many more fits, of models that hardly differ from that of all images
FOLD_SIDE_PX = 32  # noise and coding are averaged away, what makes an image another one is not
_LIKENESS = 0.97  # correlation; 1 but for what recoding leaves


def near_duplicate_groups(pixels: ByteArray) -> NDArray[np.intp]:
    """Group number of each of (n, side, side, 3) images; near-duplicates share one.

    What an image has besides the mean of all images, at 32 x 32 and whatever its brightness and contrast, correlates by
    0.97 or more between copies. (A perceptual hash of the image itself takes all photographs of a part that lies still
    for copies.)
    """
    side, cells = pixels.shape[1] // FOLD_SIDE_PX, FOLD_SIDE_PX
    grey = pixels.mean(axis=3, dtype=np.float32).reshape(len(pixels), cells, side, cells, side).mean(axis=(2, 4))
    looks = _standardised(grey.reshape(len(pixels), -1))
    own = _standardised(looks - looks.mean(axis=0))
    nothing_own = np.abs(own).max(axis=1) == 0
    alike = (own @ own.T >= _LIKENESS) | (nothing_own[:, None] & nothing_own) | np.eye(len(pixels), dtype=bool)
    groups = np.arange(len(pixels))
    while True:  # the smallest number among those alike, until nothing changes
        smallest = np.where(alike, groups[None], len(pixels)).min(axis=1)
        if (smallest == groups).all():
            return groups
        groups = smallest


def assign_folds(
    groups: NDArray[np.intp], is_anomalous: NDArray[np.bool_], generator: np.random.Generator
) -> NDArray[np.intp]:
    """Fold number of each image: groups stay together, labels are spread evenly.

    At most 8 folds, fewer when there are fewer groups of normals.
    """
    count = min(MAX_FOLDS, len(np.unique(groups[~is_anomalous])))
    folds = np.zeros(len(groups), np.intp)
    sizes = np.zeros((count, 2), int)
    names, members = np.unique(groups, return_counts=True)
    shuffled = generator.permutation(len(names))
    for group in names[shuffled[np.argsort(-members[shuffled], kind="stable")]]:
        chosen = groups == group
        anomalous = int(is_anomalous[chosen].sum())
        normal = int(chosen.sum()) - anomalous
        load = sizes[:, 1] * (anomalous > 0)
        if normal:  # first of all every fold gets normals, or one round would have none to learn from
            load = load + sizes[:, 0] * len(groups)
        fold = int(load.argmin())
        folds[chosen] = fold
        sizes[fold] += normal, anomalous
    return folds


def _standardised(rows: FloatArray) -> FloatArray:
    """Rows of mean 0 and length 1; 0 where there is next to no contrast."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.where(length > 1e-3, centred / np.maximum(length, 1e-3), 0)
