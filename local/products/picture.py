"""The products, and a photograph of one of them with the exact mask of its defects."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from local.products import board, bracket, screw, tile
from local.products.camera import Shot, expose, photograph
from local.products.surface import Field, Surface

# What a person would see: 7 of 256 levels, over 60 px. A drawing that shows less is drawn again, so many times at most.
VISIBLE_LEVELS, SMALLEST_DEFECT_PX, ATTEMPTS = 7, 60, 20


@dataclass(frozen=True)
class Defect:
    """A named way to spoil a part.

    Attributes:
        color: `#RRGGBB` in masks.
        inflict: changes the surface in place, with randomness of its own.
    """

    color: str
    inflict: Callable[[Surface, np.random.Generator], None]


@dataclass(frozen=True)
class Product:
    """A part under inspection.

    Attributes:
        build: one piece as it normally is, no two alike.
        table: (H, W, 3) linear, what it lies on.
        defects: type name (letters and digits) -> how it happens; their order gives the class indexes, from 1.
        shot: how one is photographed.
    """

    height: int
    width: int
    build: Callable[[np.random.Generator], Surface]
    table: Callable[[np.random.Generator], Field]
    defects: Mapping[str, Defect]
    shot: Callable[[np.random.Generator], Shot] = Shot.sample


@dataclass(frozen=True)
class Picture:
    """A photograph and its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8; 0 where the defects change nothing one can see, else the class index.
        types: the defect types in it.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    types: tuple[str, ...]


PRODUCTS: Mapping[str, Product] = {
    "bracket": Product(
        height=bracket.HEIGHT,
        width=bracket.WIDTH,
        build=bracket.build,
        table=bracket.belt,
        defects={
            "scratch": Defect("#7ED321", bracket.scratch),
            "dent": Defect("#4A90E2", bracket.dent),
            "missingscrew": Defect("#F5A623", bracket.missing_screw),
        },
    ),
    "board": Product(
        height=board.SIDE,
        width=board.SIDE,
        build=board.build,
        table=board.mat,
        defects={
            "solderbridge": Defect("#D0021B", board.solder_bridge),
            "missingpart": Defect("#BD10E0", board.missing_part),
            "stain": Defect("#F8E71C", board.stain),
        },
    ),
    "screw": Product(
        height=screw.SIDE,
        width=screw.SIDE,
        build=screw.build,
        table=screw.felt,
        defects={
            "thread": Defect("#D0021B", screw.damaged_thread),
            "bend": Defect("#4A90E2", screw.spoiled_tip),
            "head": Defect("#F5A623", screw.chipped_head),
        },
    ),
    "tile": Product(
        height=tile.HEIGHT,
        width=tile.WIDTH,
        build=tile.build,
        table=tile.nothing,
        defects={
            "crack": Defect("#D0021B", tile.crack),
            "blowhole": Defect("#4A90E2", tile.blowhole),
            "fray": Defect("#F5A623", tile.fray),
        },
        shot=tile.shot,
    ),
}


def render(product: str, seed: int, defects: Sequence[str] = ()) -> Picture:
    """Photograph one piece. Equal arguments give equal pixels, and a defect changes only the pixels of its mask.

    Args:
        seed: the piece, its pose, its light and the camera's noise.
        defects: type names, inflicted in that order; a name may come twice.
    Raises:
        KeyError: no such product or defect.
        ValueError: no place is left where the defect could be seen.
    """
    item = PRODUCTS[product]
    rng = np.random.default_rng([seed, 0])
    shot = item.shot(rng)
    surface, table = item.build(rng), item.table(rng)
    picture = photograph(surface, table, shot)
    mask = np.zeros((item.height, item.width), np.uint8)
    for order, name in enumerate(defects, start=1):
        chance = np.random.default_rng([seed, order])
        for _ in range(ATTEMPTS):
            spoiled = surface.copy()
            item.defects[name].inflict(spoiled, chance)
            after = photograph(spoiled, table, shot)
            changed = _visibly_changed(picture, after)
            if np.count_nonzero(changed) >= SMALLEST_DEFECT_PX:
                break
        else:
            raise ValueError(f"no place is left where {name} could be seen")
        surface, picture = spoiled, after
        mask[changed] = 1 + list(item.defects).index(name)
    return Picture(expose(picture, shot, rng), mask, tuple(dict.fromkeys(defects)))


def _visibly_changed(before: Field, after: Field) -> NDArray[np.bool_]:
    """(H, W) where a channel moved by what an eye can see, with the gaps inside a defect closed."""
    red, green, blue = np.moveaxis(np.abs(after - before), 2, 0)
    changed: NDArray[np.bool_] = np.maximum(np.maximum(red, green), blue) >= VISIBLE_LEVELS
    spots = Image.fromarray(changed.astype(np.uint8) * 255)
    frame = spots.getbbox()
    if frame is None:
        return changed
    margin = 8
    left, top = max(0, frame[0] - margin), max(0, frame[1] - margin)
    region = spots.crop((left, top, frame[2] + margin, frame[3] + margin))
    closed = region.filter(ImageFilter.MaxFilter(9)).filter(ImageFilter.MinFilter(9))
    spots.paste(closed, (left, top))
    return np.asarray(spots) > 0
