"""Defects painted on normal pictures, to choose between ways of looking when no real anomaly is labelled.

Whatever is chosen by them is checked against plain normals only; no model ever learns from a painted defect.
Sources of the idea: CutPaste (Li et al. 2021), DRAEM (Zavrtanik et al. 2021).
"""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from relook.detection.arrays import ByteArray, FloatArray
from relook.detection.pose import Pose

_VISIBLE_LEVELS = 8
_SMALLEST_PX = 12
_TRIES = 100
_LIGHT, _CONTRAST, _NOISE, _BLUR_PX, _QUALITY = 0.3, 0.15, 1.0, 0.6, (50, 96)  # of levels, noise; or shares


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


def relight(picture: ByteArray, generator: np.random.Generator) -> ByteArray:
    """(height, width, 3) as another camera setting would show it: light, contrast, focus, noise and coding changed a little.

    The reaches are what a station drifts through without a person minding; with them false alarms on darkened and
    re-encoded normals fell from .37 to .07 at no cost in AUROC (docs/engine.md).
    """
    blurred = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(generator.uniform(0, _BLUR_PX)))
    pixels = np.asarray(blurred, np.float32)
    middle = pixels.mean()
    pixels = (pixels - middle) * generator.uniform(1 - _CONTRAST, 1 + _CONTRAST) + middle
    lit = pixels * generator.uniform(1 - _LIGHT, 1 + _LIGHT) + generator.normal(0, _NOISE, pixels.shape[:2])[..., None]
    lit = np.rint(lit).clip(0, 255).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(lit).save(buffer, "JPEG", quality=int(generator.integers(*_QUALITY)))
    return np.asarray(Image.open(buffer).convert("RGB"))


def nudge(generator: np.random.Generator) -> Pose:
    """A little beside where a part was found: up to 2 degrees turned, 2 % moved and scaled."""
    return Pose(
        generator.uniform(-2, 2),
        generator.uniform(-0.02, 0.02),
        generator.uniform(-0.02, 0.02),
        generator.uniform(0.98, 1.02),
    )
