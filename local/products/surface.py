"""What a part is made of: a height field with materials, and the shapes and marks that are put on it.

Everything is in the part's own frame, in pixels of the finished picture; nothing here knows light or camera.
All arrays are float32.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Field = NDArray[Any]
Color = tuple[float, float, float]
Place = tuple[float, float, float]


@dataclass
class Surface:
    """A part lying flat, seen from above.

    Attributes:
        height: (H, W) px above the table.
        albedo: (H, W, 3) linear 0..1; for metal the tint of its reflections.
        metal: (H, W) 0..1; 0 is lacquer, plastic or paint.
        rough: (H, W) spread of reflections as a slope; 0.1 polished, 0.6 dull.
        brush: (H, W) >= 1, how many times wider reflections spread down the picture than along it.
        cover: (H, W) 0..1, the part's own share of the pixel; the rest shows the table.
        sites: defect type -> places (y, x, angle in radians) where it may still happen.
    """

    height: Field
    albedo: Field
    metal: Field
    rough: Field
    brush: Field
    cover: Field
    sites: dict[str, list[Place]] = field(default_factory=dict)

    @classmethod
    def empty(cls, height: int, width: int) -> Self:
        """Nothing yet: all table."""
        blank = np.zeros((height, width), np.float32)
        return cls(
            height=blank,
            albedo=np.zeros((height, width, 3), np.float32),
            metal=blank.copy(),
            rough=blank + 0.5,
            brush=blank + 1,
            cover=blank.copy(),
        )

    def copy(self) -> Self:
        """An independent copy."""
        return copy.deepcopy(self)

    def take_site(self, defect: str, rng: np.random.Generator) -> Place:
        """One of the places where the defect may happen, which is then used up.

        Raises:
            ValueError: none is left.
        """
        places = self.sites[defect]
        if not places:
            raise ValueError(f"no place is left for {defect}")
        return places.pop(int(rng.integers(len(places))))


@dataclass(frozen=True)
class Window:
    """A part of a surface around a point, with axes turned about it.

    Attributes:
        at: the rows and columns.
        y, x: (h, w) px from the point, along the turned axes.
    """

    at: tuple[slice, slice]
    y: Field
    x: Field

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) px."""
        return self.y.shape[0], self.y.shape[1]


def window(surface: Surface, y: float, x: float, reach: float, angle: float = 0.0) -> Window:
    """The window of `reach` px around (y, x), cut off at the surface's border."""
    height, width = surface.height.shape
    top, left = max(0, int(y - reach)), max(0, int(x - reach))
    bottom, right = min(height, int(y + reach) + 2), min(width, int(x + reach) + 2)
    down, along = np.mgrid[top:bottom, left:right].astype(np.float32)
    down, along = down - y, along - x
    cosine, sine = math.cos(angle), math.sin(angle)
    return Window((slice(top, bottom), slice(left, right)), down * cosine - along * sine, along * cosine + down * sine)


def disc(y: Field, x: Field, radius: float) -> Field:
    """Signed distance to a circle, px, negative inside."""
    return np.hypot(y, x) - radius


def box(y: Field, x: Field, half_height: float, half_width: float, radius: float = 0.0) -> Field:
    """Signed distance to a box with rounded corners, px, negative inside."""
    down = np.abs(y) - (half_height - radius)
    along = np.abs(x) - (half_width - radius)
    return np.hypot(np.maximum(down, 0), np.maximum(along, 0)) + np.minimum(np.maximum(down, along), 0) - radius


def hexagon(y: Field, x: Field, radius: float) -> Field:
    """Signed distance (exact inside) to a hexagon of that inner radius, px."""
    turns = (0.0, math.pi / 3, 2 * math.pi / 3)
    sides: Field = np.stack([np.abs(math.cos(turn) * y + math.sin(turn) * x) for turn in turns]).max(axis=0)
    return sides - radius


def inside(distance: Field, softness: float = 1.0) -> Field:
    """Anti-aliased membership 0..1 of a signed distance; the edge is `softness` px wide."""
    return np.clip(0.5 - distance / softness, 0, 1)


def lay(
    surface: Surface,
    place: Window,
    share: Field,
    *,
    color: Color | None = None,
    metal: float | None = None,
    rough: float | None = None,
    height: Field | float | None = None,
) -> None:
    """Blend a material, and a height in px, over a window by `share` 0..1. Metal laid so is not brushed."""
    if color is not None:
        albedo = surface.albedo[place.at]
        albedo += share[..., None] * (np.array(color, np.float32) - albedo)
    if metal is not None:
        surface.metal[place.at] += share * (metal - surface.metal[place.at])
        surface.brush[place.at] += share * (1 - surface.brush[place.at])
    if rough is not None:
        surface.rough[place.at] += share * (rough - surface.rough[place.at])
    if height is not None:
        surface.height[place.at] += share * (height - surface.height[place.at])


def cloud(rng: np.random.Generator, shape: tuple[int, int], *grids: tuple[int, int]) -> Field:
    """(H, W) smooth noise of about unit variance: one octave for each grid of (rows, columns) random values."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    for grid in grids:
        values = Image.fromarray(rng.standard_normal(grid, dtype=np.float32))
        total += np.asarray(values.resize((width, height), Image.Resampling.BICUBIC))
    return total / math.sqrt(len(grids))


def lettering(text: str, size_px: int, shape: tuple[int, int]) -> Field:
    """(H, W) 0..1, the text in the middle; drawn four times larger and reduced."""
    height, width = shape
    sheet = Image.new("L", (4 * width, 4 * height))
    font = ImageFont.load_default(4 * size_px)
    ImageDraw.Draw(sheet).text((2 * width, 2 * height), text, fill=255, font=font, anchor="mm", align="center")
    return np.asarray(sheet.reduce(4), np.float32) / 255


def stroke(points: NDArray[np.float64], widths_px: Sequence[float], shape: tuple[int, int]) -> Field:
    """(H, W) 0..1, a line through (y, x) points, one width a step; drawn four times larger and reduced."""
    height, width = shape
    sheet = Image.new("L", (4 * width, 4 * height))
    draw = ImageDraw.Draw(sheet)
    corners = [(4 * float(x), 4 * float(y)) for y, x in points]
    for ends, width_px in zip(itertools.pairwise(corners), widths_px, strict=True):
        draw.line(ends, fill=255, width=max(1, round(4 * width_px)))
    return np.asarray(sheet.reduce(4), np.float32) / 255
