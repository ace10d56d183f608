"""Training masks, with all the liberties people and labelling tools take in painting them.

Accepted: palette, RGB and RGBA PNG; transparent, white or black background; anti-aliased outlines; colours in either
case; BACKGROUND entries in the colour map; a one-colour mask of any size (a dummy for "nothing here").
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import ByteArray
from relook.detection.image import decode_mask
from relook.detection.regions import Regions
from relook.detection.result import is_background
from relook.errors import ImageRejectedError, TrainingDataError

MASK_SIDE_PX = 1024  # as fine as the finest cells that types are learnt from; a megabyte at most
_MAX_TYPES = 254  # labels are bytes: 0 is the background, and 255 stays free
_COLOR = re.compile(r"#[0-9a-fA-F]{6}")
_TOLERANCE = 40.0
"""Between RGB colours 0..255: tools that scale or recode shift a colour a little, two types lie further apart."""
_MAX_STRAY_SHARE = 0.01  # of what is painted: where three colours meet there are blends of none, but a type covers more


def read_mask(data: bytes, colors: Mapping[str, str], *, name: str, height: int, width: int) -> ByteArray:
    """Which type every pixel of a mask shows.

    Args:
        colors: type -> `#RRGGBB`; background entries are ignored.
        name: the image's, for messages.
        height: of the image as displayed, as `width`.
    Returns:
        uint8, 0 background, i the i-th type of `colors` without background entries. Masks with a side above 1024 are
        reduced as `reduce_labels` does.
    Raises:
        TrainingDataError: not a PNG, another size than its image, or a colour that is not in the map.
    """
    labels = read_labels(data, colors, name=name)
    rows, columns = labels.shape
    if (rows, columns) != (height, width):
        if (labels != labels[0, 0]).any():
            raise TrainingDataError(f"The mask of {name} is {columns} x {rows} pixels; its image is {width} x {height}")
        return np.full((64, 64), labels[0, 0], np.uint8)
    return reduce_labels(labels, MASK_SIDE_PX)


def read_labels(data: bytes, colors: Mapping[str, str], *, name: str) -> ByteArray:
    """As `read_mask`, at the mask's own size, whatever that is."""
    pixels = _rgba(data, name)
    types = [_rgb(color, name) for kind, color in colors.items() if not is_background(kind)]
    if len(types) > _MAX_TYPES:
        raise TrainingDataError(f"The mask of {name} maps {len(types)} colours; at most {_MAX_TYPES} are possible")
    backgrounds = [_rgb(color, name) for kind, color in colors.items() if is_background(kind)]
    return _nearest_types(pixels, types, backgrounds, name)


def reduce_labels(labels: ByteArray, side_px: int) -> ByteArray:
    """The same labels with at most `side_px` pixels a side, in which whatever was painted still shows.

    Each stands for a square of n x n pixels, background beyond the lower and right edge, and shows a type if one of
    those does: the type that most of them show, the first of several. A defect may be thinner than such a square, and
    every n-th pixel would miss it.

    Args:
        labels: (height, width), 0 background.
    Returns:
        (ceil(height / n), ceil(width / n)), so in the same proportions; `labels` itself where they are small enough.
    """
    n = -(-max(labels.shape) // side_px)
    if n == 1:
        return labels
    height, width = (-(-size // n) for size in labels.shape)
    padded = np.zeros((height * n, width * n), np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    reduced = np.zeros((height, width), np.uint8)
    most = np.zeros((height, width), np.uint32)
    for number in np.flatnonzero(Image.fromarray(padded).histogram()):
        if number:
            shown = padded == number
            count = sum((shown[i::n, j::n] for i in range(n) for j in range(n)), np.zeros_like(most))
            reduced[count > most] = number
            np.maximum(most, count, out=most)
    return reduced


def outside(labels: ByteArray, regions: Regions | None) -> ByteArray:
    """The same labels, background in regions that are ignored."""
    return np.where(regions.on(*labels.shape), np.uint8(0), labels) if regions else labels


def _rgba(data: bytes, name: str) -> ByteArray:
    try:
        return decode_mask(data)
    except ImageRejectedError as error:
        raise TrainingDataError(f"The mask of {name} cannot be used: {error.message}") from error


def _rgb(color: str, name: str) -> tuple[int, int, int]:
    if not _COLOR.fullmatch(color):
        raise TrainingDataError(f"The colour map of {name} has {color!r}; colours look like #23A436")
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue


def hex_color(color: Sequence[int]) -> str:
    """#RRGGBB of three bytes."""
    return f"#{bytes(color).hex().upper()}"


def _nearest_types(
    pixels: ByteArray, types: list[tuple[int, int, int]], backgrounds: list[tuple[int, int, int]], name: str
) -> ByteArray:
    """Labels of (h, w, 4) pixels. A colour between two known ones is an anti-aliased outline: the nearer one wins.

    Looked at in runs of one colour, since a mask of 16 million pixels has few of them.
    """
    packed = np.ascontiguousarray(pixels).view("<u4").ravel()
    starts = np.flatnonzero(np.append(True, packed[1:] != packed[:-1]))
    lengths = np.diff(starts, append=packed.size)
    transparent = packed[starts] >> 24 < 128
    runs = np.where(transparent, 0xFFFFFF, packed[starts] & 0xFFFFFF)
    values, inverse = np.unique(runs, return_inverse=True)
    counts = np.bincount(inverse, weights=lengths)
    distinct = np.stack([values & 255, values >> 8 & 255, values >> 16 & 255], axis=1).astype(np.float64)
    plain = [c for c in ((255, 255, 255), (0, 0, 0), *backgrounds) if c not in types]
    anchors = np.array(types + plain, np.float64)
    nearest, distance = _nearest_blend(distinct, anchors, len(types))
    labels = np.where((nearest < len(types)) & (distance <= _TOLERANCE), nearest + 1, 0)
    stray = distance > _TOLERANCE
    painted = int(counts[stray | (labels > 0)].sum())
    if counts[stray].sum() > _MAX_STRAY_SHARE * painted + 4:
        worst = hex_color(distinct[stray][counts[stray].argmax()].astype(int).tolist())
        known = ", ".join(map(hex_color, types)) or "none"
        raise TrainingDataError(f"The mask of {name} has colour {worst}, which its colour map does not name ({known})")
    return np.repeat(np.where(transparent, 0, labels[inverse]).astype(np.uint8), lengths).reshape(pixels.shape[:2])


def _nearest_blend(
    colors: NDArray[np.float64], anchors: NDArray[np.float64], types: int
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """For each of (n, 3) colours: the nearer end of the closest blend of two anchors, and the distance to that blend.

    Anchors alone come first, since one may be a blend of two others, as orange is of red and yellow. The first `types`
    anchors blend with every other. Backgrounds do not blend with each other: between white and black lies grey, which
    would hide a type that nobody mapped.
    """
    distance = np.full(len(colors), np.inf)
    nearest = np.zeros(len(colors), np.intp)
    alone = [(each, each) for each in range(len(anchors))]
    for first, second in [*alone, *((one, other) for one in range(types) for other in range(one + 1, len(anchors)))]:
        line = anchors[second] - anchors[first]
        along = ((colors - anchors[first]) @ line / max(line @ line, 1)).clip(0, 1)
        away = np.linalg.norm(colors - anchors[first] - along[:, None] * line, axis=1)
        closer = away < distance - 1e-9
        distance = np.where(closer, away, distance)
        nearest = np.where(closer, np.where(along <= 0.5, first, second), nearest)
    return nearest, distance
