"""A self-tapping screw lying at any angle on a grey felt: countersunk head, bare shank, thread, point.

Within the screw, x runs along the axis towards the point, 0 halfway, and y across it; both px.
"""

from __future__ import annotations

import math

import numpy as np

from local.products.surface import Field, Place, Surface, Window, box, cloud, inside, lay, window

# Pixels, along the axis and away from it; linear RGB; chosen by eye
SIDE = 512
SHAPE = (SIDE, SIDE)
FACE, SHANK, THREAD, TAPER, POINT = -150.0, -104.0, -62.0, 98.0, 150.0
HEAD_RADIUS, CORE_RADIUS, RIDGE, PITCH = 45.0, 14.0, 8.5, 15.5
ZINC = (0.68, 0.68, 0.67)
TORN = (0.92, 0.92, 0.90)
BROKEN = (0.30, 0.30, 0.30)
TURNED_OUTLINE = (
    (FACE, FACE + 3, FACE + 11, SHANK, THREAD, THREAD + 4, TAPER, POINT - 3, POINT),
    (HEAD_RADIUS - 3, HEAD_RADIUS, HEAD_RADIUS, 17.5, 17.5, CORE_RADIUS, CORE_RADIUS, 2, 0),
)


def build(rng: np.random.Generator) -> Surface:
    """One screw as it fell: its own place, direction, roll about its axis, tarnish and dust."""
    surface = Surface.empty(SIDE, SIDE)
    y, x = (SIDE / 2 + rng.uniform(-24, 24) for _ in range(2))
    angle, roll = rng.uniform(0, 2 * math.pi), rng.random()
    place = window(surface, y, x, 166, angle)
    ridge = _ridge(place, roll)
    radius = np.interp(place.x, *TURNED_OUTLINE).astype(np.float32) + RIDGE * ridge
    beyond = np.maximum(np.abs(place.y) - radius, np.abs(place.x) - POINT)
    surface.cover[place.at] = inside(beyond, 1.4)
    # A little further than the cover, so that the edge of the head's face is neither jagged nor dark.
    lathe = np.sqrt(np.maximum(radius**2 - place.y**2, 0)) * (np.abs(place.x) < POINT + 3)
    lay(surface, place, inside(beyond - 4), color=ZINC, metal=1, rough=0.19, height=lathe)
    tarnish = 1 + 0.05 * cloud(rng, place.shape, (6, 6), (40, 40)) - 0.3 * np.exp(-ridge / 0.2) * (place.x > THREAD)
    surface.albedo[place.at] *= tarnish[..., None]
    surface.rough[place.at] *= 1 + 0.1 * cloud(rng, place.shape, (9, 9))
    surface.height[place.at] += 0.045 * cloud(rng, place.shape, place.shape) * surface.cover[place.at]
    for _ in range(int(rng.integers(0, 5))):
        _speck(surface, rng, y, x, angle)
    first = math.ceil((THREAD + 18) / PITCH + roll)
    crests = [(turn - roll) * PITCH for turn in range(first, int((TAPER - 8) / PITCH + roll) + 1)]
    surface.sites = {
        "thread": [_on_axis(y, x, angle, crest) for crest in crests],
        "bend": [_on_axis(y, x, angle, TAPER)],
        "head": [_on_axis(y, x, angle, FACE)],
    }
    return surface


def felt(rng: np.random.Generator) -> Field:
    """(H, W, 3) linear: the plain mat under the screw."""
    fibres = 1 + 0.035 * cloud(rng, SHAPE, SHAPE, (170, 170)) + 0.03 * cloud(rng, SHAPE, (3, 3), (9, 9))
    return (rng.normal(0.47, 0.02) * fibres)[..., None] * np.array([0.99, 1.0, 1.0], np.float32)


def damaged_thread(surface: Surface, rng: np.random.Generator) -> None:
    """A ridge beaten down for a bit of its turn, with the metal pushed aside."""
    place = window(surface, *_with_reach(surface.take_site("thread", rng), 36))
    theta = rng.uniform(-1.45, 1.45)
    along, across = place.x + PITCH * theta / math.tau, place.y - (CORE_RADIUS + RIDGE - 2) * math.sin(theta)
    length = rng.uniform(6, 10)
    squared = (across / length) ** 2 + (along / rng.uniform(5, 7)) ** 2
    beaten = inside(squared - 1 + 0.25 * cloud(rng, place.shape, (12, 12)), 0.5) * surface.cover[place.at]
    radius = CORE_RADIUS + rng.uniform(0.5, 3) + 0.7 * cloud(rng, place.shape, (24, 24))
    core = np.sqrt(np.maximum(radius**2 - place.y**2, 0))
    burr = np.exp(-((along - rng.choice([-1, 1]) * 6.5) ** 2) / 3 - (across / length) ** 2) * surface.cover[place.at]
    lay(surface, place, beaten, height=np.minimum(surface.height[place.at], core))
    lay(surface, place, np.maximum(0.8 * beaten, 0.6 * burr), color=TORN, rough=0.45)
    surface.height[place.at] += rng.uniform(1.5, 3) * burr
    surface.cover[place.at] *= 1 - beaten * inside(radius - np.abs(place.y))


def spoiled_tip(surface: Surface, rng: np.random.Generator) -> None:
    """A point that is bent to one side, or cut off."""
    place = window(surface, *_with_reach(surface.take_site("bend", rng), 76))
    if rng.random() < 0.6:
        _bend(surface, place, math.tan(rng.choice([-1, 1]) * math.radians(rng.uniform(13, 30))))
        return
    left = rng.uniform(16, 36) + rng.uniform(-0.7, 0.7) * place.y + 0.8 * cloud(rng, place.shape, (40, 40))
    kept = inside(place.x - left)
    fresh = inside(np.abs(place.x - left + 1.5) - 1.5)
    surface.cover[place.at] *= kept
    lay(surface, place, 1 - kept, height=0)
    lay(surface, place, fresh * surface.cover[place.at], color=TORN, rough=0.5)


def chipped_head(surface: Surface, rng: np.random.Generator) -> None:
    """A flake broken off the head's rim: what lies beyond a ragged plane through the rim is gone."""
    place = window(surface, *_with_reach(surface.take_site("head", rng), 58))
    theta = rng.choice([-1, 1]) * rng.uniform(0.2, 1.5)
    depth = rng.uniform(5, 10) + 0.6 * cloud(rng, place.shape, (14, 14), (50, 50))
    plane = HEAD_RADIUS - depth + rng.uniform(0.35, 0.8) * np.maximum(place.x, 0) - place.y * math.sin(theta)
    plane /= math.cos(theta)
    height = surface.height[place.at]
    gone = inside(plane - height, 1.5) * surface.cover[place.at]
    lay(surface, place, gone, color=BROKEN, rough=0.5, height=np.clip(plane, 0, height))
    surface.cover[place.at] *= inside(-plane, 1.5)


def _ridge(place: Window, roll: float) -> Field:
    """(h, w) 0..1, how far the thread stands out: a helix of sharp ridges that runs out towards the point."""
    theta = np.arcsin(np.clip(place.y / (CORE_RADIUS + RIDGE - 2), -1, 1))
    turns = place.x / PITCH + theta / math.tau + roll
    from_crest = 2 * np.abs(turns - np.round(turns))
    run = np.interp(place.x, (THREAD - 2, THREAD + 16, TAPER, POINT - 8), (0, 1, 0.95, 0)).astype(np.float32)
    ridge: Field = run * np.clip(1.12 - 1.5 * from_crest, 0, 1)
    return ridge


def _on_axis(y: float, x: float, angle: float, along: float) -> Place:
    return y + along * math.sin(angle), x + along * math.cos(angle), angle


def _with_reach(site: Place, reach: float) -> tuple[float, float, float, float]:
    y, x, angle = site
    return y, x, reach, angle


def _bend(surface: Surface, place: Window, slope: float) -> None:
    """Move everything past the window's middle aside, by a slope that sets in over a few px."""
    aside = slope * (np.sqrt(np.maximum(place.x, 0) ** 2 + 36) - 6)
    # The sine and cosine of the screw's direction, as the window's own axes have them.
    sine, cosine = float(place.x[1, 0] - place.x[0, 0]), float(place.y[1, 0] - place.y[0, 0])
    height, width = place.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    rows = np.clip(rows - aside * cosine, 0, height - 1.001)
    columns = np.clip(columns + aside * sine, 0, width - 1.001)
    top, left = rows.astype(np.intp), columns.astype(np.intp)
    down, right = rows - top, columns - left
    for layer in (surface.height, surface.albedo, surface.metal, surface.rough, surface.cover):
        old = layer[place.at]
        share_y, share_x = (each.reshape(each.shape + (1,) * (old.ndim - 2)) for each in (down, right))
        upper = old[top, left] * (1 - share_x) + old[top, left + 1] * share_x
        lower = old[top + 1, left] * (1 - share_x) + old[top + 1, left + 1] * share_x
        layer[place.at] = upper * (1 - share_y) + lower * share_y


def _speck(surface: Surface, rng: np.random.Generator, y: float, x: float, angle: float) -> None:
    """A grain of dust on the screw, which is normal."""
    y, x, _ = _on_axis(y, x, angle, rng.uniform(FACE, TAPER))
    place = window(surface, y + rng.uniform(-14, 14), x + rng.uniform(-14, 14), 4, rng.uniform(0, math.pi))
    grain = inside(box(place.y, place.x, rng.uniform(0.3, 0.7), rng.uniform(0.4, 1.6)))
    tone = rng.uniform(0.08, 0.5)
    lay(surface, place, 0.5 * grain * surface.cover[place.at], color=(tone, tone, tone), metal=0.3, rough=0.6)
