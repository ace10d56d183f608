"""What of an image is looked at: the part's own rectangle, cut in its pose, in one resampling, never squashed.

Coordinates are continuous (x, y) px: pixel (row i, column j) covers y from i to i + 1 and x from j to j + 1.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.image import MAX_SIDE_PX, ReducedImage, decode_mask, decode_reduced
from relook.detection.levels import Levels
from relook.detection.pose import SIDE, Matrix, Pose, Template, prepared
from relook.detection.regions import Regions
from relook.errors import ImageRejectedError, PackageError

Rectangle: TypeAlias = tuple[float, float, float, float]
_AS_IT_IS = Pose()
_COARSER = 8  # the canvas' own edge is as sharp as 1/512 of the largest image, twice what masks promise


@dataclass(frozen=True)
class Cut:
    """What was cut from an image, and from where.

    Attributes:
        pixels: (h, w, 3) uint8 RGB, the canvas.
        matrix: (2, 3), from (x, y, 1) on the canvas to (x, y) in the image as displayed, continuous px.
        likeness: normalised cross-correlation with the template, 1 without one.
        size: (height, width) of the image as displayed.
        regions: of the image, that are ignored; they are painted over in the pixels.
    """

    pixels: ByteArray
    matrix: Matrix
    likeness: float
    size: tuple[int, int]
    regions: Regions | None = None

    def on_image(self, values: FloatArray, height: int, width: int, beyond: float) -> FloatArray:
        """(h', w') float32 values that cover the canvas, to (height, width) that cover the whole image, bilinear.

        Args:
            beyond: the value where the canvas does not reach, and in regions that are ignored.
        """
        values = self._whole(values, height, width, beyond)
        if self.regions:
            values[self.regions.on(height, width)] = beyond
        return values

    def shares(self, painted: NDArray[np.bool_], height: int, width: int) -> FloatArray:
        """(height, width) share of each cell of the canvas that is painted in (h, w) over the whole image."""
        matrix = self.matrix @ np.diag([self.pixels.shape[1] / width, self.pixels.shape[0] / height, 1.0])
        matrix = np.diag([painted.shape[1] / self.size[1], painted.shape[0] / self.size[0]]) @ matrix
        # Averaged down to about a cell first, so that what is thinner than a cell still has its share of it
        factor = max(1, int(np.hypot(matrix[0, 0], matrix[1, 0])))
        on_canvas = (
            Image.fromarray(painted.astype(np.uint8) * 255)
            .reduce(factor)
            .transform(
                (width, height), Image.Transform.AFFINE, tuple((matrix / factor).ravel()), Image.Resampling.BILINEAR
            )
        )
        return np.asarray(on_canvas, np.float32) / np.float32(255)

    def kept(self, height: int, width: int) -> FloatArray:
        """(height, width) cells of the canvas: 0 where most of one is ignored, 1 elsewhere."""
        if self.regions is None:
            return np.ones((height, width), np.float32)
        return np.asarray(self.shares(self.regions.ignored, height, width) <= 0.5, np.float32)

    def _whole(self, values: FloatArray, height: int, width: int, beyond: float) -> FloatArray:
        rows, columns = values.shape
        canvas = _scaling(columns / self.pixels.shape[1], rows / self.pixels.shape[0])
        image = _scaling(self.size[1] / width, self.size[0] / height)
        back: Matrix = canvas @ np.linalg.inv(np.vstack([self.matrix, (0, 0, 1)])) @ image
        if not (back[0, 1] or back[1, 0]):
            return _stretched(values, back, height, width, beyond)
        # Turned at a part of a large picture's size, where a cell has pixels enough, and stretched from there
        cell_px = 1 / np.abs(back[:2, :2]).sum(axis=1).max()
        coarse = int(np.clip(cell_px / 2, 1, _COARSER))
        low_height, low_width = -(-height // coarse), -(-width // coarse)
        zoom = _scaling(width / low_width, height / low_height)
        turned = Image.fromarray(values).transform(
            (low_width, low_height),
            Image.Transform.AFFINE,
            tuple((back @ zoom)[:2].ravel()),
            Image.Resampling.BILINEAR,
            fillcolor=beyond,
        )
        return _stretched(np.asarray(turned), _scaling(1 / zoom[0, 0], 1 / zoom[1, 1]), height, width, beyond)


@dataclass(frozen=True)
class View:
    """Where to look.

    Attributes:
        frame: (height, width) px of the usual image; others are scaled into its middle, and mirrored beyond.
        rectangle: (x, y, width, height) of the part, in px of the frame, in the template's pose.
        canvas: (height, width) px of the cut.
        template: None where parts always lie alike, or nothing would find them.
        is_stretched: images of any proportions fill the frame: of pieces of all sizes, and for others' models.
        levels: what is black and white in images of 16 bits a channel; None where training saw none.
        regions: of the image as displayed, that are ignored wherever the part lies; None for none.
    """

    frame: tuple[int, int]
    rectangle: Rectangle
    canvas: tuple[int, int]
    template: Template | None = None
    is_stretched: bool = False
    levels: Levels | None = None
    regions: Regions | None = None

    @classmethod
    def stretched(cls, height: int, width: int) -> Self:
        """The whole image, whatever its proportions, on a canvas."""
        return cls((height, width), (0.0, 0.0, float(width), float(height)), (height, width), is_stretched=True)

    def cut(self, data: bytes, jitter: Pose = _AS_IT_IS) -> Cut:
        """Decode an image, find the part, and cut it out.

        Args:
            jitter: moves the part about the rectangle's middle, as if it lay a little differently than it was found.
        Raises:
            ImageRejectedError: the image cannot be read.
        """
        image = without_regions(decode_reduced(data, self._spare, self.levels), self.regions)
        pose, likeness = _AS_IT_IS, 1.0
        if self.template:
            pose, likeness = self.template.find(prepared(*thumbnail(image, self.frame, self.regions)))
        x, y, width, height = self.rectangle
        side, middle = max(self.frame), (self.frame[1] / 2, self.frame[0] / 2)
        onto_frame = _scaling(width / self.canvas[1], height / self.canvas[0], x, y)
        posed = pose.matrix(middle, side) @ jitter.matrix((x + width / 2, y + height / 2), side) @ onto_frame
        matrix = self._onto_image(image.height, image.width) @ posed
        pixels = np.asarray(_resampled(image, matrix, self.canvas))
        return Cut(pixels, matrix[:2], likeness, (image.height, image.width), self.regions)

    def covers(self, painted: ByteArray) -> bool:
        """Whether all that is not 0 in (h, w), over the whole of a usual image, lies in the rectangle, not turned."""
        rows, columns = np.flatnonzero(painted.any(axis=1)), np.flatnonzero(painted.any(axis=0))
        if not len(rows):
            return True
        (x, y, width, height), (frame_height, frame_width) = self.rectangle, self.frame
        down, right = frame_height / painted.shape[0], frame_width / painted.shape[1]
        is_high_enough = y <= rows[0] * down and (rows[-1] + 1) * down <= y + height
        return bool(is_high_enough and x <= columns[0] * right and (columns[-1] + 1) * right <= x + width)

    def to_json(self) -> dict[str, Any]:
        """Plain values for `model.json`."""
        template = self.template and {
            "png": base64.b64encode(self.template.png).decode(),
            "shift": self.template.shift,
        }
        places = {"frame": list(self.frame), "rectangle": list(self.rectangle), "canvas": list(self.canvas)}
        levels = self.levels and {"black": self.levels.black, "bits": self.levels.bits}
        regions = self.regions and base64.b64encode(self.regions.png).decode()
        return {**places, "template": template, "is_stretched": self.is_stretched, "levels": levels, "regions": regions}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        """
        Raises:
            PackageError: a value is missing, malformed or out of range.
        """
        try:
            (rows, columns), canvas = (tuple(map(int, fields[name])) for name in ("frame", "canvas"))
            high, wide = canvas
            x, y, width, height = map(float, fields["rectangle"])
            side = max(rows, columns)
            is_near = all(-side <= low < end <= 2 * side for low, end in ((x, x + width), (y, y + height)))
            if not (is_near and all(1 <= side <= MAX_SIDE_PX for side in (rows, columns, *canvas))):
                raise ValueError(f"frame, rectangle or canvas of {fields}")
            template, stretched = _template(fields["template"]), bool(fields["is_stretched"])
            # Packages of before had neither
            levels, regions = _levels(fields.get("levels")), _regions(fields.get("regions"))
            return cls((rows, columns), (x, y, width, height), (high, wide), template, stretched, levels, regions)
        except (ValueError, TypeError, KeyError, OverflowError, binascii.Error, ImageRejectedError) as error:
            raise PackageError(f"The model's view lacks or garbles a value: {error!r}") from error

    def _onto_image(self, height: int, width: int) -> Matrix:
        if self.is_stretched:
            return _scaling(width / self.frame[1], height / self.frame[0])
        return _from_frame(self.frame, height, width)

    def _spare(self, height: int, width: int) -> float:
        """By how much an image of this size may shrink before the canvas, or the thumbnail, asks for more."""
        fit = float(np.diag(self._onto_image(height, width))[:2].min())
        spare = min(self.rectangle[2] / self.canvas[1], self.rectangle[3] / self.canvas[0]) * fit
        return float(min(spare, max(self.frame) / SIDE * fit) if self.template else spare)


def without_regions(image: ReducedImage, regions: Regions | None) -> ReducedImage:
    """The image with what is ignored painted over."""
    return replace(image, picture=regions.painted_over(image.picture)) if regions else image


def thumbnail(
    image: ReducedImage, frame: tuple[int, int], regions: Regions | None = None
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """(SIDE, SIDE) grey 0..255, the frame as wide as its longer side, mirrored beyond the image; and what is image, and
    not ignored."""
    scale = max(frame) / SIDE
    square = _scaling(scale, scale, (frame[1] - max(frame)) / 2, (frame[0] - max(frame)) / 2)
    matrix = _from_frame(frame, image.height, image.width) @ square
    grey = np.asarray(_resampled(image, matrix, (SIDE, SIDE)).convert("L"), np.float32)
    x, y = (matrix[axis, axis] * (np.arange(SIDE) + 0.5) + matrix[axis, 2] for axis in (0, 1))
    known = ((y > 0) & (y < image.height))[:, None] & (x > 0) & (x < image.width)
    return grey, known & ~regions.at(y / image.height, x / image.width) if regions else known


def _levels(fields: Mapping[str, Any] | None) -> Levels | None:
    if fields is None:
        return None
    levels = Levels(int(fields["black"]), int(fields["bits"]))
    if not (8 <= levels.bits <= 16 and 0 <= levels.black < 1 << 16):
        raise ValueError(f"levels of {fields}")
    return levels


def _regions(png: str | None) -> Regions | None:
    if png is None:
        return None
    regions = Regions(base64.b64decode(png, validate=True))
    if not regions.ignored.any() or regions.ignored.all():
        raise ValueError("regions of nothing or of everything")
    return regions


def _template(fields: Mapping[str, Any] | None) -> Template | None:
    if fields is None:
        return None
    png = base64.b64decode(fields["png"], validate=True)
    shift = float(fields["shift"])
    if decode_mask(png).shape[:2] != (SIDE, SIDE) or not 0 <= shift <= 0.5:
        raise ValueError(f"a template that is moved by {shift} of the side")
    return Template(png, shift)


def _scaling(x: float, y: float, right: float = 0.0, down: float = 0.0) -> Matrix:
    return np.array([[x, 0, right], [0, y, down], [0, 0, 1]], np.float64)


def _from_frame(frame: tuple[int, int], height: int, width: int) -> Matrix:
    """From a place in the frame to that in an image, which is scaled into the frame's middle."""
    scale = max(height / frame[0], width / frame[1])
    return _scaling(scale, scale, (width - frame[1] * scale) / 2, (height - frame[0] * scale) / 2)


def _resampled(image: ReducedImage, matrix: Matrix, size: tuple[int, int]) -> Image.Image:
    """(height, width) px that lie in the image where `matrix` says; mirrored beyond it."""
    picture, back = image.picture, _scaling(1 / image.factor, 1 / image.factor) @ matrix
    corners = (back @ np.array([[0, size[1], 0, size[1]], [0, 0, size[0], size[0]], [1, 1, 1, 1]]))[:2]
    # Less than a thousandth of a pixel is rounding
    before = np.maximum(np.ceil(-corners.min(axis=1) - 1e-3), 0).astype(int)
    after = np.maximum(np.ceil(corners.max(axis=1) - picture.size - 1e-3), 0).astype(int)
    if before.any() or after.any():
        margins = ((before[1], after[1]), (before[0], after[0]), (0, 0))
        picture = Image.fromarray(np.pad(np.asarray(picture), margins, mode="symmetric"))
        back[:2, 2] += before
    if back[0, 1] or back[1, 0]:
        data = tuple(back[:2].ravel())
        return picture.transform(size[::-1], Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)
    low, high = back[:2, 2], back[:2, 2] + np.diag(back)[:2] * size[::-1]
    (left, top), (right, bottom) = np.maximum(low, 0).tolist(), np.minimum(high, picture.size).tolist()
    return picture.resize(size[::-1], Image.Resampling.BILINEAR, (left, top, right, bottom), reducing_gap=2.0)


def _stretched(values: FloatArray, back: Matrix, height: int, width: int, beyond: float) -> FloatArray:
    """Values at the cells where `back`, which does not turn, finds the pixels; row by row in the cache."""
    top, rows, down = _lines(back[1, 1], back[1, 2], values.shape[0], height)
    left, columns, along = _lines(back[0, 0], back[0, 2], values.shape[1], width)
    bottom, right = top + len(rows), left + len(columns)
    is_whole = (bottom - top, right - left) == (height, width)
    whole = np.empty((height, width), np.float32) if is_whole else np.full((height, width), beyond, np.float32)
    padded = np.pad(values, ((0, 1), (0, 1)), mode="edge")
    wide = np.take(padded, columns, axis=1)
    wide += (np.take(padded, columns + 1, axis=1) - wide) * along
    steps = np.diff(wide, axis=0)
    edges = np.searchsorted(rows, np.arange(values.shape[0] + 1))
    for row in np.unique(rows):
        band = whole[top + edges[row] : top + edges[row + 1], left:right]
        np.multiply(down[edges[row] : edges[row + 1], None], steps[row], out=band)
        band += wide[row]
    return whole


def _lines(step: float, start: float, cells: int, pixels: int) -> tuple[int, NDArray[np.intp], FloatArray]:
    """The first pixel whose middle lies in the cells; of it and all further ones the cell, and how far to the next."""
    middles = (np.arange(pixels) + 0.5) * step + start
    inside = np.flatnonzero((middles >= -1e-6) & (middles <= cells + 1e-6))
    at = np.clip(middles[inside] - 0.5, 0, cells - 1)
    whole = at.astype(np.intp)
    return int(inside[0]) if len(inside) else 0, whole, (at - whole).astype(np.float32)
