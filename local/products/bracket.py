"""A stamped, brushed steel bracket on a conveyor belt: bent flange, drilled holes, six socket screws."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from local.products.surface import Field, Surface, box, cloud, disc, hexagon, inside, lay, lettering, stroke, window

# Pixels; linear RGB; (y, x) of a bracket that was drawn by eye
HEIGHT, WIDTH = 576, 768
SHAPE = (HEIGHT, WIDTH)
THICKNESS = 9.0
STEEL = (0.62, 0.62, 0.61)
ZINC = (0.78, 0.79, 0.80)
BURNISHED = (0.86, 0.86, 0.84)
BLACK = (0.03, 0.03, 0.03)
SCREWS = ((340, 190), (340, 578), (340, 300), (340, 468), (128, 316), (128, 452))
HOLES = ((340, 130), (340, 638))
SLOT = (208, 384)
BRUSHING = 2.2


def build(rng: np.random.Generator) -> Surface:
    """One bracket as it left the line: its own brushing, smudges, dust and screw angles."""
    surface = _pressed().copy()
    streaks = cloud(rng, SHAPE, (HEIGHT, 7), (HEIGHT, 26))
    surface.height += 0.06 * streaks
    surface.albedo *= (1 + 0.035 * streaks + 0.03 * cloud(rng, SHAPE, (4, 6), (11, 15)))[..., None]
    surface.rough *= 1 + 0.1 * cloud(rng, SHAPE, (5, 7), (16, 22))
    for y, x in SCREWS:
        _screw(surface, y + rng.normal(0, 0.5), x + rng.normal(0, 0.5), rng.uniform(0, math.pi / 3))
    for _ in range(int(rng.integers(4, 14))):
        _speck(surface, rng)
    surface.sites = {"missingscrew": [(y, x, 0.0) for y, x in SCREWS]}
    return surface


def belt(rng: np.random.Generator) -> Field:
    """(H, W, 3) linear: the belt under the part, wherever it stopped."""
    down, along = (int(step) for step in rng.integers(0, HEIGHT, 2))
    worn = 1 + 0.1 * cloud(rng, SHAPE, (3, 4), (9, 12), (40, 54))
    return np.roll(_rubber(), (down, along), (0, 1)) * worn[..., None]


def scratch(surface: Surface, rng: np.random.Generator) -> None:
    """A thin furrow of uneven width with burnished flanks."""
    y, x = _flat_spot(rng)
    reach = rng.uniform(28, 100)
    place = window(surface, y, x, reach + 6)
    heading = rng.uniform(0, math.pi)
    along = np.linspace(-reach, reach, 26)
    across = np.cumsum(np.cumsum(rng.normal(0, 0.06, 26)))
    across -= np.linspace(across[0], across[-1], 26)
    rows = y - place.at[0].start + along * math.sin(heading) + across * math.cos(heading)
    columns = x - place.at[1].start + along * math.cos(heading) - across * math.sin(heading)
    widths = rng.uniform(1.0, 2.4) * np.sin(np.linspace(0.2, math.pi - 0.2, 25)) * rng.uniform(0.6, 1.2, 25)
    line = stroke(np.stack([rows, columns], 1), widths.tolist(), place.shape) * surface.cover[place.at]
    surface.height[place.at] -= rng.uniform(0.9, 2.2) * line
    brush = surface.brush[place.at].copy()
    lay(surface, place, line * rng.uniform(0.5, 0.95), color=BURNISHED, rough=0.3)
    surface.brush[place.at] = brush


def dent(surface: Surface, rng: np.random.Generator) -> None:
    """A shallow bowl with a slightly raised rim, as from a blow."""
    y, x = _flat_spot(rng)
    radius = rng.uniform(9, 18)
    place = window(surface, y, x, 2.6 * radius, rng.uniform(0, math.pi))
    ragged = 1 + 0.16 * cloud(rng, place.shape, (5, 5))
    squared = (place.y**2 + (rng.uniform(0.65, 1) * place.x) ** 2) / radius**2 * ragged
    surface.height[place.at] -= rng.uniform(0.16, 0.42) * radius * np.exp(-squared) * (1 - 0.3 * squared)


def missing_screw(surface: Surface, rng: np.random.Generator) -> None:
    """An empty threaded hole, and the faint ring where the washer sat."""
    y, x, _ = surface.take_site("missingscrew", rng)
    place = window(surface, y, x, 30)
    away = disc(place.y, place.x, 0)
    plate = inside(away - 26, 2)
    streaks = cloud(rng, place.shape, (place.shape[0], 2))
    lay(surface, place, plate, color=STEEL, metal=1, rough=0.24, height=THICKNESS + 0.08 * streaks)
    surface.brush[place.at] += plate * (BRUSHING - surface.brush[place.at])
    surface.albedo[place.at] *= (1 - 0.22 * inside(np.abs(away - 18) - 2, 3))[..., None]
    thread = inside(np.abs(away - 9.3) - 1.2, 1.5)
    lay(surface, place, inside(away - 9), color=BLACK, metal=0.4, rough=0.4, height=THICKNESS - 7)
    lay(surface, place, thread, color=BURNISHED, metal=1, rough=0.3, height=THICKNESS - 1)


@cache
def _pressed() -> Surface:
    """What the press makes, the same for every bracket."""
    surface = Surface.empty(HEIGHT, WIDTH)
    whole = window(surface, 0, 0, HEIGHT + WIDTH)
    y, x = whole.y, whole.x
    bar = box(y - 362, x - 384, 96, 292, 26)
    upright = box(y - 190, x - 384, 124, 118, 30)
    blend = np.clip(0.5 + (upright - bar) / 68, 0, 1)
    outline = upright + blend * (bar - upright) - 34 * blend * (1 - blend)
    cut = -box(y - SLOT[0], x - SLOT[1], 13, 46, 13)
    for hole_y, hole_x in HOLES:
        cut = np.maximum(cut, -disc(y - hole_y, x - hole_x, 19))
    body = np.maximum(outline, cut)
    bent = np.maximum(y - 404, 0)
    rib = inside(box(y - 262, x - 384, 12, 150, 12), 14)
    bevel = 1 - np.clip(-body / 5, 0, 1)
    surface.cover[:] = inside(body)
    surface.height[:] = surface.cover * (
        THICKNESS - 4 * bevel**2 - 0.42 * bent**2 / (bent + 12) + 7 * rib**2 * (3 - 2 * rib)
    )
    for hole_y, hole_x in HOLES:
        surface.height -= 3.5 * inside(disc(y - hole_y, x - hole_x, 25), 9) * surface.cover
    lay(surface, whole, surface.cover, color=STEEL, metal=1, rough=0.24)
    lay(surface, whole, inside(np.abs(body + 1.5) - 1.2, 1.5) * surface.cover, color=BURNISHED, rough=0.3)
    surface.brush[:] = BRUSHING
    for text, size, down in (("RL-208", 26, 340), ("SUS304  t2.0", 11, 385)):
        mark = np.roll(lettering(text, size, SHAPE), down - HEIGHT // 2, 0)
        surface.height -= 0.9 * mark
        surface.albedo *= (1 - 0.55 * mark)[..., None]
    return surface


def _screw(surface: Surface, y: float, x: float, angle: float) -> None:
    """A zinc socket screw on its washer."""
    place = window(surface, y, x, 30, angle)
    away = disc(place.y, place.x, 0)
    washer = THICKNESS + 2.5 - np.clip((away - 21) / 2, 0, 1)
    dome = THICKNESS + 10 - 3.2 * (away / 17) ** 4
    lay(surface, place, inside(away - 24), color=ZINC, metal=1, rough=0.3, height=washer)
    lay(surface, place, inside(away - 17), color=ZINC, rough=0.22, height=dome)
    socket = inside(hexagon(place.y, place.x, 8))
    lay(surface, place, socket, color=(0.16, 0.16, 0.17), rough=0.4, height=THICKNESS + 3)


def _speck(surface: Surface, rng: np.random.Generator) -> None:
    """A grain of dust, which is normal."""
    place = window(surface, rng.uniform(90, 450), rng.uniform(100, 670), 4, rng.uniform(0, math.pi))
    grain = inside(box(place.y, place.x, rng.uniform(0.3, 0.8), rng.uniform(0.4, 1.6)))
    tone = rng.uniform(0.08, 0.5)
    lay(surface, place, 0.5 * grain * surface.cover[place.at], color=(tone, tone, tone), metal=0.3, rough=0.6)


def _flat_spot(rng: np.random.Generator) -> tuple[float, float]:
    """A place (y, x) on the plate away from edges, holes, screws and the stamped name."""
    features = (*SCREWS, *HOLES, (340, 384), (340, 350), (340, 418))
    while True:
        on_bar = rng.random() < 0.6
        y = rng.uniform(290, 440) if on_bar else rng.uniform(92, 245)
        x = rng.uniform(120, 648) if on_bar else rng.uniform(285, 483)
        if all(math.hypot(y - there[0], x - there[1]) > 46 for there in features) and abs(y - SLOT[0]) > 34:
            return y, x


@cache
def _rubber() -> Field:
    rng = np.random.default_rng(20)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32) * (math.pi / 6)
    weave = np.sin(x + y) * np.sin(x - y)
    grain = rng.standard_normal(SHAPE, dtype=np.float32)
    tone = 0.062 * np.clip(1 + 0.2 * weave + 0.2 * grain, 0.1, None)
    rubber: Field = tone[..., None] * np.array([0.55, 1.0, 0.95], np.float32)
    return rubber
