"""Where to look, learnt from normal images alone: their frame, how parts lie in it, and where the part is."""

from __future__ import annotations

import cmath
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relook.detection.arrays import FloatArray
from relook.detection.image import ReducedImage, decode_reduced
from relook.detection.levels import Levels
from relook.detection.pose import (
    SIDE,
    Pose,
    Template,
    correlation,
    grid,
    moved,
    outlines,
    prepared,
    sample,
)
from relook.detection.regions import Regions
from relook.detection.view import Rectangle, View, thumbnail, without_regions

_LOOKED_AT = 48  # of the normals; the largest shift hardly grows any more
_LEARNT_FROM = 16  # of those; a template is a mean over half of them
_ROUNDS = 3  # the first template is a single normal, the second and third are means
_HOPELESS = 0.4  # textures stay below .3 of their most usual picture; screws, which change most, begin at .68
_SEARCHED_SHIFT = 0.2  # of the side; what lies further off is cut by the frame
_SHIFT_MARGIN = 0.02  # as far as a bumped camera moves parts; beyond is where none ever lay
# 1 - likeness is what a template leaves unexplained. Aligning left .07 to .17 of it where parts are turned (screws,
# wafers, boards, figures) and .33 or more where not: components .33, four pieces .55, textures .8
_BELIEVED, _LEFT = 0.9, 0.25
_ALIKE = 0.9  # some 25 degrees either way. Figures that lie within 10 were told better as they are (.99 against .91)
_BACKGROUND, _LIVELY, _PART_LEVEL = 0.2, 0.98, 0.15  # quantiles of the gradients, and a level between them
_LEAST_CELLS = 2  # a line with fewer cells of the part holds dust
_MARGIN = 0.04  # of the frame's side, either way: a part's outline is seen with what is beside it
_WORTH_CUTTING = 0.7  # of the frame's area; a larger rectangle would give the part less than 1.4 times the pixels
_LEAST_LIVELY = 0.4  # of the rectangle. Four pieces have .56, a plate around its hole .28, whose smooth rest counts
_EMPTY = 0.1  # in log proportions: a tenth of the frame
_STEP_PX = 32  # the backbone's last stride


@dataclass(frozen=True)
class Viewpoint:
    """A view, and the mean normalised cross-correlations of normals that led to it.

    Attributes:
        as_they_are: with their own mean.
        aligned: with a template, turned as each lies; None where that was not tried.
    """

    view: View
    as_they_are: float
    aligned: float | None


def fit_view(
    images: Sequence[Callable[[], bytes]],
    budget_px: int,
    *,
    levels: Levels | None = None,
    regions: Regions | None = None,
    align: bool = True,
    crop: bool = True,
) -> Viewpoint:
    """The view that normal images ask for, with about `budget_px` pixels; half to twice as many for small pictures.

    Args:
        levels: of the images, where they have 16 bits a channel; `regions`: of them, that are ignored.
        align: look for parts that are turned; `crop`: look at the part alone.
    Raises:
        ImageRejectedError: an image cannot be read.
    """
    some = images[:: -(-len(images) // _LOOKED_AT)]
    # Twice the thumbnail's side, so that making the thumbnail averages
    decoded = [
        without_regions(decode_reduced(read(), lambda height, width: max(height, width) / (2 * SIDE), levels), regions)
        for read in some
    ]
    frame = _usual_size(decoded)
    if _proportions_differ(decoded, frame):
        _, canvas = _shaped((0.0, 0.0, float(frame[1]), float(frame[0])), frame, budget_px)
        return Viewpoint(replace(View.stretched(*canvas), levels=levels, regions=regions), 0.0, None)
    thumbnails = [thumbnail(image, frame, regions) for image in decoded]
    pictures = np.stack([prepared(*each) for each in thumbnails])
    edges = np.stack([np.where(known, outlines(grey) ** 2, np.float32(np.nan)) for grey, known in thumbnails])
    as_they_are = _likeness_as_they_are(pictures)
    template, aligned = _template(pictures, edges) if align else (None, None)
    poses = [template.find(picture)[0] for picture in pictures] if template else [Pose()] * len(some)
    if template and _concentration(poses) < _ALIKE and _explains_more(aligned, as_they_are):
        furthest = max(max(abs(pose.x), abs(pose.y)) for pose in poses)
        template = replace(template, shift=round(float(furthest) + _SHIFT_MARGIN, 4))
    else:
        template, poses = None, [Pose()] * len(some)
    energy = _mean([_seen_from(pose, each) for pose, each in zip(poses, edges, strict=True)])
    part = _rectangle(energy, frame, template is not None) if crop else (0.0, 0.0, float(frame[1]), float(frame[0]))
    rectangle, canvas = _shaped(part, frame, budget_px)
    view = View(frame, rectangle, canvas, template, levels=levels, regions=regions)
    return Viewpoint(view, as_they_are, aligned)


def _explains_more(aligned: float | None, as_they_are: float) -> bool:
    return aligned is not None and aligned >= _BELIEVED and 1 - aligned <= _LEFT * (1 - as_they_are)


def _concentration(poses: Sequence[Pose]) -> float:
    """Length of the mean of unit vectors in the directions of parts: 1 if they all lie alike, 0 at any angle."""
    return float(abs(np.mean([cmath.exp(1j * math.radians(pose.angle_deg)) for pose in poses])))


def _usual_size(images: Sequence[ReducedImage]) -> tuple[int, int]:
    """The most common size; where most have another, sides in the middle of all."""
    sizes = [(image.height, image.width) for image in images]
    size, count = Counter(sizes).most_common(1)[0]
    if 2 * count >= len(sizes):
        return size
    height, width = np.median(sizes, axis=0).astype(int)
    return int(height), int(width)


def _proportions_differ(images: Sequence[ReducedImage], frame: tuple[int, int]) -> bool:
    """Whether most images would leave a tenth of the frame empty. What is mirrored there is not what normal borders
    look like: on ground metal, pieces of any size, F1 was .38 with mirrored borders and .66 with stretched images."""
    return bool(np.median([abs(math.log(i.width / i.height * frame[0] / frame[1])) for i in images]) > _EMPTY)


def _likeness_as_they_are(pictures: FloatArray) -> float:
    mean = _mean(list(pictures)).ravel()
    return float(np.mean([correlation(picture.ravel(), mean) for picture in pictures]))


def _template(pictures: FloatArray, edges: FloatArray) -> tuple[Template, float]:
    """From the most usual normal, then twice from the half that fits it best; and the mean likeness of all to it."""
    step = -(-len(pictures) // _LEARNT_FROM)
    pictures, edges = pictures[::step], edges[::step]
    mean = _mean(list(pictures))
    poses, best = [Pose()] * len(pictures), [int(np.argmin([np.nanmean((each - mean) ** 2) for each in pictures]))]
    for _ in range(_ROUNDS):
        upright = _upright(_mean([_seen_from(poses[i], edges[i]) for i in best]))
        poses = [pose.after(upright) for pose in poses]
        template = Template.of(_mean([_seen_from(poses[i], pictures[i]) for i in best]), _SEARCHED_SHIFT)
        finds = [template.find(picture) for picture in pictures]
        poses, likeness = [pose for pose, _ in finds], [value for _, value in finds]
        if np.median(likeness) < _HOPELESS:
            break
        # Those it takes upside down fit worse, and must not blur it
        best = np.flatnonzero(likeness >= np.median(likeness)).tolist()
    return template, float(np.mean(likeness))


def _seen_from(pose: Pose, picture: FloatArray) -> FloatArray:
    """A (SIDE, SIDE) thumbnail in the template's pose, NaN beyond it."""
    places = moved(grid(SIDE), math.radians(pose.angle_deg), pose.x * SIDE, pose.y * SIDE)
    return sample(picture, places).reshape(SIDE, SIDE)


def _mean(pictures: Sequence[FloatArray]) -> FloatArray:
    """Of what is known of them; 0 where nothing is."""
    stack = np.stack(pictures)
    known = np.isfinite(stack)
    return np.asarray(np.where(known, stack, 0).sum(axis=0) / np.maximum(known.sum(axis=0), 1), np.float32)


def _part(energy: FloatArray) -> NDArray[np.bool_]:
    """(SIDE, SIDE) cells clearly livelier than the background; an unknown cell has the energy 0."""
    low, high = np.quantile(energy[energy > 0], (_BACKGROUND, _LIVELY)) if energy.any() else (0.0, 0.0)
    return np.asarray(energy > low + _PART_LEVEL * (high - low))


def _upright(energy: FloatArray) -> Pose:
    """The pose in which the part fills the smallest rectangle, lengthwise and in the middle."""
    part = grid(SIDE)[:, _part(energy).ravel()]
    smallest, pose = math.inf, Pose()
    for angle in range(0, 180, 2) if part.shape[1] > 2 * _LEAST_CELLS else ():
        along, across = np.sort(moved(part, -math.radians(angle), 0, 0), axis=1)[:, [_LEAST_CELLS, -_LEAST_CELLS - 1]]
        length, breadth = along[1] - along[0], across[1] - across[0]
        if length >= breadth and length * breadth < smallest:
            middle = np.array([[along.mean()], [across.mean()]], np.float32)
            x, y = moved(middle, math.radians(angle), 0, 0)[:, 0] / SIDE
            smallest, pose = length * breadth, Pose(float(angle), float(x), float(y))
    return pose


def _rectangle(energy: FloatArray, frame: tuple[int, int], is_turned: bool) -> Rectangle:
    """x, y, width and height of the part in px of the frame, or of all of it where that saves little."""
    height, width = frame
    side = max(frame)
    part = _part(energy)
    ends = []
    for axis, length in ((0, width), (1, height)):
        lines = np.flatnonzero(part.sum(axis=axis) >= _LEAST_CELLS)
        first, last = (lines[0], lines[-1] + 1) if len(lines) else (0, SIDE)
        reach = (side if is_turned else length) / 2  # a part that is turned lengthwise may be longer than the frame
        margin = _MARGIN * length
        low, high = ((cell / SIDE - 0.5) * side for cell in (first, last))
        ends.append((max(low - margin, -reach) + length / 2, min(high + margin, reach) + length / 2))
    (left, right), (top, bottom) = ends
    wide, high = float(right - left), float(bottom - top)
    cells = wide * high * (SIDE / side) ** 2
    is_worth = wide * high < _WORTH_CUTTING * width * height and (is_turned or part.sum() >= _LEAST_LIVELY * cells)
    return (float(left), float(top), wide, high) if is_worth else (0.0, 0.0, float(width), float(height))


def _shaped(rectangle: Rectangle, frame: tuple[int, int], budget_px: int) -> tuple[Rectangle, tuple[int, int]]:
    """The rectangle a little wider or higher, so that it has exactly the proportions of the canvas that fits it best.

    Proportions weigh four times as much as the budget: what is added is not the part, or a mirrored border.
    """
    _, _, width, height = rectangle
    budget_px = _spent(width * height, budget_px)
    sides = range(2, max(math.isqrt(budget_px) // 8, 2) + 1)

    def misfit(size: tuple[int, int]) -> float:
        high, wide = size
        area, shape = high * wide * _STEP_PX**2 / budget_px, wide / high / (width / height)
        return abs(math.log(area)) + 4 * abs(math.log(shape))

    high, wide = min(itertools.product(sides, sides), key=misfit)
    size = max(width, height * wide / high), max(height, width * high / wide)
    return _grown(rectangle, *size, frame), (high * _STEP_PX, wide * _STEP_PX)


def _spent(camera_px: float, budget_px: int) -> int:
    """Two pixels for one of the camera's, within half and twice the budget; what is larger than that is shrunk to it.

    Enlarged so, textures showed fainter and finer defects, and enlarged further fewer (docs/engine.md).
    """
    if camera_px > 2 * budget_px:
        return budget_px
    return round(min(max(2 * camera_px, budget_px / 2), 2 * budget_px))


def _grown(rectangle: Rectangle, width: float, height: float, frame: tuple[int, int]) -> Rectangle:
    """Larger about its middle, but within the frame, or evenly beyond both its ends where that cannot be."""
    x, y = (
        (limit - large) / 2 if large > limit else min(max(start - (large - length) / 2, 0.0), limit - large)
        for start, length, large, limit in zip(rectangle, rectangle[2:], (width, height), frame[::-1], strict=False)
    )
    return x, y, width, height
