"""What a picture looks like in three numbers, to tell whether a stream still looks like what training saw."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from relook.detection.arrays import ByteArray

_PAIRS = 32  # of neighbouring rows are looked at: all of them tell no more, and take a fiftieth of a detection


@dataclass(frozen=True)
class PictureStatistics:
    """Of what a model looks at: as measured, or in robust spreads of the training normals from their median.

    Attributes:
        brightness: mean of the grey levels, 0..255.
        contrast: their standard deviation, 0..128.
        sharpness: how much neighbours differ, root mean squared, over the contrast: 0 for a blank or quite blurred
            picture, 1.4 for noise. A darker picture is as sharp.
    """

    brightness: float
    contrast: float
    sharpness: float


def picture_statistics(pixels: ByteArray) -> PictureStatistics:
    """Of (height, width, 3) uint8 RGB, as measured.

    Source: sharpness is the root of the ratio of von Neumann 1941, in two directions.
    """
    every = max(2, len(pixels) // _PAIRS)
    pairs = pixels[: len(pixels) // every * every].reshape(-1, every, *pixels.shape[1:])[:, :2]
    grey = np.asarray(Image.fromarray(pairs.reshape(-1, *pixels.shape[1:])).convert("L"), np.float32)
    contrast = float(grey.std())
    steps = grey[:, 1:] - grey[:, :-1], grey[1::2] - grey[::2]
    squared = sum(float(np.vdot(each, each)) for each in steps) / sum(each.size for each in steps)
    return PictureStatistics(float(grey.mean()), contrast, math.sqrt(squared) / contrast if contrast else 0.0)
