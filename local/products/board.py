"""An assembled circuit board on a blue mat: chips, chip resistors and capacitors, two cans, a gold edge."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from local.products.surface import (
    Color,
    Field,
    Place,
    Surface,
    Window,
    box,
    cloud,
    disc,
    inside,
    lay,
    lettering,
    stroke,
    window,
)

# Pixels; linear RGB; chosen by eye
SIDE = 640
SHAPE = (SIDE, SIDE)
LAMINATE = 8.0
MASK_GREEN = (0.012, 0.105, 0.045)
MASK_OVER_COPPER = (0.026, 0.165, 0.065)
GOLD = (0.95, 0.66, 0.27)
SOLDER = (0.80, 0.80, 0.79)
EPOXY = (0.02, 0.02, 0.022)
INK = (0.72, 0.73, 0.70)
LASERED = (0.3, 0.3, 0.29)
TIN = (0.78, 0.78, 0.76)
CERAMIC = (0.36, 0.24, 0.12)
ALUMINIUM = (0.84, 0.84, 0.85)


@dataclass(frozen=True)
class Chip:
    """A chip in its place, px; `legs` on two sides, or on all four."""

    label: str
    y: float
    x: float
    half_height: float
    half_width: float
    legs: int
    pitch: float
    four_sided: bool = False


# (y, x), sizes and radii of a board that was laid out by eye
CHIPS = (
    Chip("RLK-7\n2208A", 300, 300, 64, 64, legs=7, pitch=17, four_sided=True),
    Chip("L358", 140, 190, 30, 44, legs=4, pitch=21),
    Chip("FM24", 480, 450, 30, 44, legs=4, pitch=21),
)
RESISTORS = [(y, x) for y in (120, 150, 180) for x in (330, 400)]
RESISTORS += [(y, 470) for y in (260, 290, 320, 350)] + [(y, 150) for y in (455, 485, 515)]
CAPACITORS = [(y, 130) for y in (230, 265, 300, 335)] + [(y, 300) for y in (430, 460, 490)] + [(455, 230), (485, 230)]
CANS = ((150, 505, 40), (395, 540, 27))
SCREW_HOLES = ((90, 90), (90, 550), (550, 90), (550, 550))
PRINT = (("RELOOK  RL-7 REV C", 15, 78, 320), ("U1", 14, 204, 222), ("U2", 14, 140, 258), ("U3", 14, 480, 516),
         ("C9", 13, 205, 505), ("C10", 12, 435, 540))  # fmt: skip


def build(rng: np.random.Generator) -> Surface:
    """One board as it left the oven: parts slightly off their places, its own solder, grain and dust."""
    surface = _bare().copy()
    surface.albedo *= (1 + 0.05 * cloud(rng, SHAPE, (4, 4), (24, 24)))[..., None]
    surface.height += 0.05 * cloud(rng, SHAPE, (80, 80), (213, 213))
    for y, x in RESISTORS:
        _chip_part(surface, rng, y, x, EPOXY, thickness=7)
    for y, x in CAPACITORS:
        _chip_part(surface, rng, y, x, CERAMIC, thickness=10)
    for y, x, radius in CANS:
        _can(surface, rng, y, x, radius)
    for _ in range(int(rng.integers(5, 16))):
        _speck(surface, rng)
    return surface


def mat(rng: np.random.Generator) -> Field:
    """(H, W, 3) linear: the antistatic mat under the board."""
    worn = 1 + 0.07 * cloud(rng, SHAPE, (3, 3), (10, 10), (160, 160))
    return worn[..., None] * np.array([0.045, 0.085, 0.16], np.float32)


def solder_bridge(surface: Surface, rng: np.random.Generator) -> None:
    """A bead of solder that joins two neighbouring legs of a chip."""
    y, x, angle = surface.take_site("solderbridge", rng)
    place = window(surface, y, x, 26, angle)
    length, breadth = rng.uniform(8.5, 13), rng.uniform(4, 7.5)
    squared = ((place.y - rng.uniform(-3, 4)) / breadth) ** 2 + (place.x / length) ** 2
    squared *= 1 + 0.2 * cloud(rng, place.shape, (5, 5))
    dome = LAMINATE + 4 + rng.uniform(3, 6) * np.sqrt(np.clip(1 - squared, 0, 1))
    lay(surface, place, inside(squared - 1, 0.25), color=SOLDER, metal=1, rough=0.2, height=dome)


def missing_part(surface: Surface, rng: np.random.Generator) -> None:
    """A place the machine left empty: two pads with reflowed solder."""
    y, x, angle = surface.take_site("missingpart", rng)
    place = window(surface, y, x, 32, angle)
    bare = inside(box(place.y, place.x, 15, 27, 2), 2)
    lay(surface, place, bare, color=MASK_GREEN, metal=0, rough=0.22, height=LAMINATE)
    for side in (-1, 1):
        _solder(surface, place, 0, side * 16, 8, 7, dome=rng.uniform(2, 3.5))


def stain(surface: Surface, rng: np.random.Generator) -> None:
    """Flux left behind: a translucent amber film with a darker rim, beside the chips."""
    radius = rng.uniform(18, 42)
    while True:
        y, x = rng.uniform(100, 540), rng.uniform(100, 540)
        if all(abs(y - chip.y) > chip.half_height + 15 or abs(x - chip.x) > chip.half_width + 15 for chip in CHIPS):
            break
    place = window(surface, y, x, 1.8 * radius, rng.uniform(0, math.pi))
    edge = disc(place.y, rng.uniform(0.7, 1) * place.x, radius)
    edge += 0.2 * radius * cloud(rng, place.shape, (4, 4), (7, 7))
    film = rng.uniform(0.35, 0.75) * inside(edge, 3) * surface.cover[place.at]
    rim = np.exp(-((edge + 2) ** 2) / 7) * film
    albedo = surface.albedo[place.at]
    albedo += film[..., None] * (np.array([0.085, 0.05, 0.008], np.float32) - 0.45 * albedo)
    albedo *= (1 - 0.55 * rim)[..., None]
    surface.rough[place.at] *= 1 - 0.45 * film
    surface.height[place.at] += 1.2 * film


@cache
def _bare() -> Surface:
    """The etched and printed board with its chips, the same for every one."""
    surface = Surface.empty(SIDE, SIDE)
    whole = window(surface, 0, 0, 2 * SIDE)
    holes = [disc(whole.y - y, whole.x - x, 13) for y, x in SCREW_HOLES]
    body = np.maximum(box(whole.y - SIDE / 2, whole.x - SIDE / 2, 268, 268, 16), -np.minimum.reduce(holes))
    surface.cover[:] = inside(body)
    surface.height[:] = LAMINATE * np.clip(-body / 2, 0, 1)
    lay(surface, whole, surface.cover, color=MASK_GREEN, metal=0, rough=0.22)
    _traces(surface, whole)
    for hole in holes:
        ring = inside(np.abs(hole - 5) - 5) * surface.cover
        lay(surface, whole, ring, color=GOLD, metal=1, rough=0.25, height=LAMINATE + 0.8)
    for finger in range(15):
        place = window(surface, 566, 134.5 + 26.5 * finger, 30)
        pad = inside(box(place.y, place.x, 18, 9, 1.5))
        lay(surface, place, pad, color=GOLD, metal=1, rough=0.22, height=LAMINATE + 0.8)
    for text, size, y, x in PRINT:
        place = window(surface, y, x, 110)
        lay(surface, place, 0.9 * lettering(text, size, place.shape), color=INK, metal=0, rough=0.5)
    for chip in CHIPS:
        _chip(surface, chip)
    gaps = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, a[2])
            for chip in CHIPS for a, b in itertools.pairwise(_feet(chip)) if a[2] == b[2]]  # fmt: skip
    surface.sites = {"solderbridge": gaps, "missingpart": []}
    return surface


def _traces(surface: Surface, whole: Window) -> None:
    """Copper under the green: bundles of tracks that turn by 45 degrees and end in vias."""
    rng = np.random.default_rng(11)
    for bundle in range(20):
        start = np.array([10 + 9 * (bundle // 4), 9 + 13 * (bundle % 4)]) + rng.integers(-2, 4, 2)
        points = [start * 10.0]
        turn = int(rng.integers(4)) * 2
        for _ in range(int(rng.integers(2, 5))):
            heading = np.array([math.sin(turn * math.pi / 4), math.cos(turn * math.pi / 4)]).round()
            points.append(points[-1] + heading * 10.0 * rng.integers(3, 12))
            turn += int(rng.choice([-1, 1]))
        width = float(rng.choice([2.5, 2.5, 3.5]))
        for track in range(int(rng.integers(1, 5))):
            path = np.clip(np.array(points) + track * np.array([9.0, -9.0]), 66, 574)
            copper = stroke(path, [width] * (len(path) - 1), SHAPE) * surface.cover
            lay(surface, whole, copper, color=MASK_OVER_COPPER, height=LAMINATE + 0.7)
            for y, x in path[[0, -1]]:
                place = window(surface, y, x, 6)
                away = disc(place.y, place.x, 0)
                lay(surface, place, inside(away - 4.6), color=MASK_OVER_COPPER, height=LAMINATE + 1)
                lay(surface, place, inside(away - 1.9), color=(0.01, 0.02, 0.01), height=LAMINATE - 1)


def _chip(surface: Surface, chip: Chip) -> None:
    for y, x, angle in _feet(chip):
        place = window(surface, y, x, 20, angle)
        _solder(surface, place, 1, 0, 10, 4.6, dome=1.4)
        bent = LAMINATE + 3 + 5 * np.clip((4 - place.y) / 6, 0, 1)
        lay(surface, place, inside(box(place.y + 3, place.x, 8, 3)), color=TIN, metal=1, rough=0.22, height=bent)
    place = window(surface, chip.y, chip.x, max(chip.half_height, chip.half_width) + 4)
    shell = box(place.y, place.x, chip.half_height, chip.half_width, 2)
    grain = cloud(np.random.default_rng(3), place.shape, place.shape)
    top = LAMINATE + 15 * np.clip(-shell / 3, 0, 1) + 0.16 * grain
    lay(surface, place, inside(shell), color=EPOXY, metal=0, rough=0.42, height=top)
    dimple = disc(place.y - chip.half_height + 10, place.x + chip.half_width - 10, 4.5)
    surface.height[place.at] -= 2.5 * inside(dimple, 2)
    lay(surface, place, 0.6 * lettering(chip.label, 17, place.shape), color=LASERED, rough=0.5)


def _feet(chip: Chip) -> list[Place]:
    """Where each leg stands; in its own frame a leg points down, away from the body."""
    steps = [(leg - (chip.legs - 1) / 2) * chip.pitch for leg in range(chip.legs)]
    down, along = chip.half_height + 9, chip.half_width + 9
    feet = [(chip.y - down, chip.x + step, math.pi) for step in steps]
    feet += [(chip.y + down, chip.x + step, 0.0) for step in steps]
    if chip.four_sided:
        feet += [(chip.y + step, chip.x - along, -math.pi / 2) for step in steps]
        feet += [(chip.y + step, chip.x + along, math.pi / 2) for step in steps]
    return feet


def _solder(surface: Surface, place: Window, y: float, x: float, half_height: float, half_width: float,
            dome: float) -> None:  # fmt: skip
    """A pad of solder around (y, x) of the window, domed by that many px."""
    edge = box(place.y - y, place.x - x, half_height, half_width, 2)
    height = LAMINATE + 0.7 + dome * np.sqrt(np.clip(-edge / min(half_height, half_width), 0, 1))
    lay(surface, place, inside(edge), color=SOLDER, metal=1, rough=0.24, height=height)


def _chip_part(surface: Surface, rng: np.random.Generator, y: float, x: float, color: Color, thickness: float) -> None:
    """A chip resistor or capacitor, soldered at both ends, about where it belongs."""
    y, x, angle = y + rng.normal(0, 0.7), x + rng.normal(0, 0.7), rng.normal(0, 0.025)
    place = window(surface, y, x, 32, angle)
    for side in (-1, 1):
        _solder(surface, place, 0, side * 17, 8, 7.5, dome=rng.uniform(3, 5.5))
    shell = box(place.y, place.x, 8.5, 17, 1.5)
    top = LAMINATE + thickness * np.clip(-shell / 2, 0, 1)
    lay(surface, place, inside(shell), color=TIN, metal=1, rough=0.3, height=top)
    red, green, blue = (rng.normal(1, 0.06) * tone for tone in color)
    lay(surface, place, inside(box(place.y, place.x, 9, 10.5)), color=(red, green, blue), metal=0, rough=0.35)
    if color is EPOXY:
        lay(surface, place, 0.85 * _resistor_code(place.shape), color=INK)
    surface.sites["missingpart"].append((y, x, angle))


@cache
def _resistor_code(shape: tuple[int, int]) -> Field:
    return lettering("103", 9, shape)


def _can(surface: Surface, rng: np.random.Generator, y: float, x: float, radius: float) -> None:
    """An electrolytic capacitor from above: an aluminium lid with its dark sector, on a black foot."""
    place = window(surface, y, x, 1.4 * radius, rng.normal(0, 0.04))
    foot = box(place.y, place.x, 1.06 * radius, 1.06 * radius, 0.3 * radius)
    lay(surface, place, inside(foot), color=EPOXY, metal=0, rough=0.4, height=LAMINATE + 4)
    away = disc(place.y, place.x, radius)
    lid = LAMINATE + 30 * np.sqrt(np.clip(-away / 5, 0, 1))
    lay(surface, place, inside(away), color=ALUMINIUM, metal=1, rough=0.3, height=lid)
    sector = inside(away + 5) * inside(place.x + radius / 2)
    lay(surface, place, sector, color=EPOXY, metal=0, rough=0.4)


def _speck(surface: Surface, rng: np.random.Generator) -> None:
    """A grain of dust or a fibre, which is normal."""
    place = window(surface, rng.uniform(70, 570), rng.uniform(70, 570), 5, rng.uniform(0, math.pi))
    grain = inside(box(place.y, place.x, rng.uniform(0.3, 0.7), rng.uniform(0.4, 2.4)))
    tone = rng.uniform(0.2, 0.6)
    lay(surface, place, 0.4 * grain * surface.cover[place.at], color=(tone, tone, tone), metal=0, rough=0.6)
