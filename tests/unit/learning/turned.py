"""A made-up part without any symmetry, lying anyhow."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from relook.detection.arrays import ByteArray
from relook.detection.view import View
from relook.learning.data.samples import LabeledImage
from tests.unit.learning.pictures import encode

HEIGHT = 192
_OUTLINE = [
    (-0.55, -0.3),
    (0.35, -0.3),
    (0.35, -0.1),
    (0.6, -0.1),
    (0.6, 0.15),
    (-0.1, 0.15),
    (-0.1, 0.5),
    (-0.55, 0.5),
]
_HOLE = (-0.35, 0.3)
_ONCE = 3


def lying(
    seed: int,
    *,
    turn_deg: float = 0.0,
    right_px: float = 0.0,
    down_px: float = 0.0,
    aspect: float = 1.0,
    is_scratched: bool = False,
) -> Image.Image:
    """The part in a picture 192 pixels high, turned clockwise about the middle, then moved."""
    random = np.random.default_rng(seed)
    size = round(HEIGHT * aspect), HEIGHT
    canvas = Image.new("RGB", (size[0] * _ONCE, size[1] * _ONCE), (70, 74, 80))
    draw = ImageDraw.Draw(canvas)
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([size[0] / 2 + right_px, size[1] / 2 + down_px])

    def placed(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        """Points of the part, in half heights from its middle, on the canvas."""
        moved = (np.array(points) @ turn.T * HEIGHT / 2 + middle) * _ONCE
        return [(float(x), float(y)) for x, y in moved]

    draw.polygon(placed(_OUTLINE), fill=(185, 178, 160))
    ((x, y),) = placed([_HOLE])
    reach = 0.1 * HEIGHT / 2 * _ONCE
    draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=(60, 40, 40))
    if is_scratched:
        draw.line(placed([(-0.4, -0.2), (0.2, 0.05)]), fill=(250, 250, 250), width=4 * _ONCE)
    pixels = np.asarray(canvas.resize(size, Image.Resampling.BOX), np.float32)
    noisy = pixels * (1 + 0.02 * random.normal()) + random.normal(0, 2, pixels.shape)
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def lying_png(seed: int, *, is_scratched: bool = False) -> bytes:
    """Encoded, at an angle and a place that follow from the seed."""
    random = np.random.default_rng(seed)
    turn, right, down = random.uniform(-180, 180), *random.uniform(-8, 8, 2)
    return encode(lying(seed, turn_deg=turn, right_px=right, down_px=down, is_scratched=is_scratched))


def any_way_round(seeds: Iterable[int]) -> list[LabeledImage]:
    """Labelled normal parts, each at an angle of its own."""
    return [LabeledImage(f"normal/{seed}.png", partial(lying_png, seed), False) for seed in seeds]


def squashed(image: Image.Image) -> ByteArray:
    """(256, 256, 3) as training and detection see it."""
    return View.stretched(256, 256).cut(encode(image)).pixels
