"""A ground ceramic tile that fills the frame: grey, grainy, faintly streaked, unevenly lit."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from local.products.camera import Shot
from local.products.surface import Field, Surface, box, cloud, disc, inside, lay, stroke, window

# Pixels; linear RGB; chosen by eye
HEIGHT, WIDTH = 360, 480
SHAPE = (HEIGHT, WIDTH)
STEP_PX = 5.0
SHADE = (0.02, 0.02, 0.02)


def shot(rng: np.random.Generator) -> Shot:
    """The fixture's light; no pose, since the tile has neither middle nor edge in the frame."""
    return dataclasses.replace(Shot.sample(rng), turn=0.0, shift=(0.0, 0.0), zoom=1.0)


def build(rng: np.random.Generator) -> Surface:
    """One tile as it left the grinder: its own tone, mottling, streaks, grain and dust."""
    surface = Surface.empty(HEIGHT, WIDTH)
    surface.cover[:] = 1
    streaks = cloud(rng, SHAPE, (5, WIDTH), (9, WIDTH // 3))
    grain = cloud(rng, SHAPE, SHAPE, (HEIGHT // 2, WIDTH // 2))
    mottled = cloud(rng, SHAPE, (6, 8), (19, 25))
    surface.height[:] = rng.uniform(0.04, 0.1) * grain + rng.uniform(0.02, 0.07) * streaks
    uneven = rng.normal(0, 0.09) * np.linspace(-1, 1, WIDTH, dtype=np.float32)
    uneven = uneven + rng.normal(0, 0.07) * np.linspace(-1, 1, HEIGHT, dtype=np.float32)[:, None]
    tone = math.exp(rng.normal(-1.95, 0.36)) * (1 + uneven + 0.035 * mottled + 0.03 * streaks + 0.05 * grain)
    surface.albedo[:] = tone[..., None] * np.array([1.0, 0.99, 0.96], np.float32)
    for _ in range(int(rng.integers(2, 9))):
        _speck(surface, rng)
    return surface


def nothing(rng: np.random.Generator) -> Field:
    """(H, W, 3) linear: none of the table is seen."""
    return np.zeros((*SHAPE, 3), np.float32)


def crack(surface: Surface, rng: np.random.Generator) -> None:
    """A thin dark line that winds, at times forked."""
    start = np.array([rng.uniform(70, HEIGHT - 70), rng.uniform(70, WIDTH - 70)])
    heading, steps = rng.uniform(0, math.tau), int(rng.integers(10, 28))
    path = _walk(rng, start, heading, steps)
    widths = rng.uniform(0.7, 1.7) * rng.uniform(0.5, 1.3, steps) * np.linspace(1.2, 0.6, steps)
    line = stroke(path, widths.tolist(), SHAPE)
    if rng.random() < 0.4:
        fork = _walk(rng, path[steps // 2], heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1), steps // 2)
        line = np.maximum(line, stroke(fork, (0.8 * widths[-(steps // 2) :]).tolist(), SHAPE))
    surface.height -= rng.uniform(0.6, 1.4) * line
    surface.albedo *= (1 - rng.uniform(0.45, 0.8) * line)[..., None]


def blowhole(surface: Surface, rng: np.random.Generator) -> None:
    """A dark pit where gas came out, or a few close together."""
    y, x = rng.uniform(40, HEIGHT - 40), rng.uniform(40, WIDTH - 40)
    for _ in range(int(rng.choice([1, 1, 2, 3]))):
        radius = rng.uniform(3.2, 6.5)
        place = window(surface, y, x, 3 * radius, rng.uniform(0, math.pi))
        away = disc(place.y, rng.uniform(0.6, 1) * place.x, radius) + 0.14 * radius * cloud(rng, place.shape, (6, 6))
        pit = inside(away, 2.5)
        lay(surface, place, rng.uniform(0.4, 0.85) * pit, color=SHADE)
        surface.height[place.at] -= rng.uniform(1.2, 2.6) * inside(away + 1, 4)
        y, x = np.clip(y + rng.normal(0, 18), 20, HEIGHT - 20), np.clip(x + rng.normal(0, 18), 20, WIDTH - 20)


def fray(surface: Surface, rng: np.random.Generator) -> None:
    """A ragged patch where the surface tore: rougher, and a little lighter or darker."""
    radius = rng.uniform(15, 34)
    y, x = rng.uniform(60, HEIGHT - 60), rng.uniform(60, WIDTH - 60)
    place = window(surface, y, x, 2.4 * radius, rng.uniform(0, math.pi))
    edge = disc(place.y, rng.uniform(0.65, 1) * place.x, radius)
    edge += radius * (0.16 * cloud(rng, place.shape, (5, 5)) + 0.12 * cloud(rng, place.shape, (14, 14)))
    torn = inside(edge, 8)
    height, width = place.shape
    texture = cloud(rng, place.shape, (height // 2, width // 2), (height // 4, width // 4))
    tone = rng.choice([rng.uniform(-0.32, -0.2), rng.uniform(0.2, 0.34)])
    surface.albedo[place.at] *= (1 + torn * (tone + 0.11 * texture))[..., None]
    surface.height[place.at] += torn * rng.uniform(0.15, 0.35) * texture


def _walk(rng: np.random.Generator, start: NDArray[np.float64], heading: float, steps: int) -> NDArray[np.float64]:
    """(steps + 1, 2) points of a line that wanders from `start`, (y, x)."""
    headings = heading + np.cumsum(rng.normal(0, 0.12, steps)) + rng.normal(0, 0.4, steps)
    moves = STEP_PX * np.stack([np.sin(headings), np.cos(headings)], 1)
    return np.cumsum(np.vstack([start, moves]), axis=0)


def _speck(surface: Surface, rng: np.random.Generator) -> None:
    """A grain of dust, which is normal."""
    place = window(surface, rng.uniform(4, HEIGHT - 4), rng.uniform(4, WIDTH - 4), 4, rng.uniform(0, math.pi))
    grain = inside(box(place.y, place.x, rng.uniform(0.3, 0.7), rng.uniform(0.4, 1.4)))
    tone = rng.uniform(0.1, 0.4)
    lay(surface, place, 0.3 * grain, color=(tone, tone, tone))
