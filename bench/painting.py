"""Defects painted on normal pictures, to measure on where no real anomaly is labelled; no model learns from them.

Sources of the idea: CutPaste (Li et al. 2021), DRAEM (Zavrtanik et al. 2021).
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from relook.detection.arrays import ByteArray, FloatArray

_VISIBLE_LEVELS = 8
_SMALLEST_PX = 12
_TRIES = 100


def paint_defect(picture: ByteArray, generator: np.random.Generator) -> ByteArray:
    """A copy of a (side, side, 3) picture with one visible defect somewhere: a line, a spot, a patch, a blur."""
    original = picture.astype(np.float32)
    for _ in range(_TRIES):
        cover = _cover(len(picture), generator)[..., None] * generator.uniform(0.3, 1)
        painted = (original * (1 - cover) + _paint(original, generator) * cover).clip(0, 255)
        if (np.abs(painted - original).mean(axis=2) > _VISIBLE_LEVELS).sum() >= _SMALLEST_PX:
            break
    return painted.astype(np.uint8)


def _cover(side: int, generator: np.random.Generator) -> FloatArray:
    """(side, side) 0..1, somewhere: a winding line, or a turned ellipse or box of up to a fifth of the picture."""
    canvas = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(canvas)
    x, y = generator.uniform(0.1 * side, 0.9 * side, 2)
    if generator.random() < 0.5:
        turns = generator.uniform(0, 2 * np.pi) + np.cumsum(generator.normal(0, generator.uniform(0.05, 0.6), 30))
        steps = np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1) * side / 40, axis=0)
        points = np.array([x, y]) + steps[: int(generator.integers(3, 30))]
        draw.line([tuple(p) for p in points.tolist()], fill=255, width=int(generator.integers(1, max(2, side // 64))))
    else:
        corners = 24 if generator.random() < 0.5 else 4
        angles = np.arange(corners) * 2 * np.pi / corners + np.pi / 4
        reach = side * generator.uniform(0.01, 0.1)
        outline = np.stack([np.cos(angles), np.sin(angles) * generator.uniform(0.2, 1)]) * reach
        turn = generator.uniform(0, np.pi)
        turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ outline
        draw.polygon([(x + dx, y + dy) for dx, dy in turned.T.tolist()], fill=255)
    soft = canvas.filter(ImageFilter.GaussianBlur(generator.uniform(0.3, 1.2)))
    return np.asarray(np.asarray(soft) / 255, np.float32)


def _paint(original: FloatArray, generator: np.random.Generator) -> FloatArray:
    """(side, side, 3): darker or brighter, a plain colour, another place of the picture, or its blurred self."""
    kind = generator.integers(4)
    if kind == 0:
        return np.asarray(original * generator.choice([0.4, 0.6, 1.4, 1.7]), np.float32)
    if kind == 1:
        return np.full_like(original, generator.uniform(0, 255, 3))
    if kind == 2:
        side = len(original)
        moves = generator.integers(side // 6, side - side // 6, 2)
        return np.roll(original, tuple(moves.tolist()), axis=(0, 1))
    blurred = Image.fromarray(original.astype(np.uint8)).filter(ImageFilter.GaussianBlur(len(original) / 32))
    return np.asarray(blurred, np.float32)
