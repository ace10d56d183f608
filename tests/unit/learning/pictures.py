"""Small made-up photographs of a plate with a dark disc, and of its defects, with exact masks."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from relook.learning.data.samples import LabeledImage

WIDTH, HEIGHT = 160, 112
COLORS = {"scratch": "#7ED321", "stain": "#23a436"}


def plate(seed: int, *, defect: str | None = None, scale: int = 1) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(112, 160, 3) pixels, or `scale` times as many a side, and where the defect is.

    A scratch is bright and thin, a stain a bluish blob.
    """
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0 : HEIGHT * scale, 0 : WIDTH * scale] / scale
    shade = 150 + 4 * random.normal() + 12 * np.sin(x / 23 + random.normal() * 0.1)
    center_y, center_x = 56 + random.normal(), 80 + random.normal()
    shade = np.where(np.hypot(y - center_y, x - center_x) < 27, shade - 60, shade)
    pixels = np.stack([shade, shade - 4, shade - 10], axis=2)
    where = np.zeros(shade.shape, bool)
    if defect == "scratch":
        slope, middle = random.uniform(-0.4, 0.4), random.uniform(30, 82)
        where = (np.abs(y - middle - slope * (x - 80)) < 1.6) & (np.abs(x - random.uniform(40, 120)) < 35)
        pixels[where] += 70
    if defect == "stain":
        where = np.hypot((y - random.uniform(25, 87)) * 1.2, x - random.uniform(25, 135)) < random.uniform(9, 14)
        pixels[where] += (-45, -20, 35)
    noisy = pixels + random.normal(0, 4, pixels.shape)
    return noisy.clip(0, 255).astype(np.uint8), where


def plate_png(seed: int, defect: str | None = None) -> bytes:
    """An encoded plate."""
    return encode(Image.fromarray(plate(seed, defect=defect)[0]))


def mask_png(seed: int, defect: str) -> bytes:
    """The plate's mask: the type's colour on white, as the guide asks."""
    where = plate(seed, defect=defect)[1]
    mask = np.full((*where.shape, 3), 255, np.uint8)
    mask[where] = tuple(bytes.fromhex(COLORS[defect][1:]))
    return encode(Image.fromarray(mask))


def encode(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    """Any image as bytes."""
    buffer = BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def normals(seeds: Iterable[int]) -> list[LabeledImage]:
    """Labelled normal plates."""
    return [LabeledImage(f"normal/{seed}.png", partial(plate_png, seed), False) for seed in seeds]


def anomalies(seeds: Iterable[int], defect: str, *, with_masks: bool = False) -> list[LabeledImage]:
    """Labelled plates with one defect each."""
    return [
        LabeledImage(
            f"anomaly/{defect}-{seed}.png",
            partial(plate_png, seed, defect),
            True,
            partial(mask_png, seed, defect) if with_masks else None,
            COLORS if with_masks else {},
        )
        for seed in seeds
    ]
